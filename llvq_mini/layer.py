"""One linear layer to bytes and back.

    W (out, in) -> rotate the input side -> one scale a row -> feedback and codebook, 24 columns at a time -> bytes,
    and backwards: bytes -> codes -> codebook -> times the row scale -> drop the padding -> rotate back -> W^

The row scale is the root mean square of the rotated row, refitted after the sweep in the Hessian's own
metric: with V the rows decoded with scale 1 and S the diagonal of scales, tr(G (W - S V) H (W - S V)^T) is least for
    (G o V H V^T) s = (G o V H W^T) 1    (o entry by entry; G = 1 unless an output metric is given),
that is s = (v H w^T) / (v H v^T) row by row without G. Scales are stored as fp16; the file's own rounded value is
what every computation here uses. A row whose scale is below the fp16 range decodes to zero.

Bits are counted as stored: whole bytes of packed codes (padding blocks included) and 16 bits a row, over
out * in weights.

What this file does not do: share work between layers except through `Prepared`, write files (store.py), or
see models. Paper: LLVQ (arXiv 2603.11021) section 4 for row scales and input rotation. Tests:
``tests/test_layer.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import pack
from .descent import descend
from .errors import LLVQError
from .feedback import (
    Factors,
    factorize,
    in_order,
    pad_columns,
    pad_hessian,
    padded_width,
    proxy_error,
    quantize_blocks,
    row_block,
)
from .hessian import DAMPING, OUTPUT_DAMPING, damped
from .rotate import Rotation

if TYPE_CHECKING:
    from .codebook import Codebook


@dataclass(frozen=True)
class Prepared:
    """What layers that read the same input share:
    the rotation, the rotated padded Hessian and its factors.
    """

    rotation: Rotation
    hessian: np.ndarray  # float64 (padded, padded), rotated, not damped
    factors: Factors  # of the damped Hessian with its blocks in the order of rounding
    damping: float  # added to the diagonal before factorization
    order: np.ndarray | None = None  # int64, the number of the block that is rounded first, second ...


def prepare(
    hessian: np.ndarray,
    seed: int,
    dim: int = 24,
    damping: float = DAMPING,
    order: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> Prepared:
    """Rotate, damp and factorize a calibration Hessian, (in, in) float64.

    order: from the damped, rotated Hessian and `dim` to the order in which blocks are rounded; None for their own.
    """
    rotation = Rotation(len(hessian), seed)
    rotated = rotation.conjugate(hessian.astype(np.float64, copy=False))
    full, amount = damped(rotated, damping)
    full = pad_hessian(full, dim)
    blocks = None if order is None else order(full, dim)
    if blocks is not None:
        columns = in_order(blocks, dim)
        full = full[np.ix_(columns, columns)]
    return Prepared(rotation, pad_hessian(rotated, dim), factorize(full, dim), amount, blocks)


@dataclass(frozen=True)
class Output:
    """The metric G of a layer's output errors, damped, and its factors by blocks of rows."""

    metric: np.ndarray  # float64 (out, out)
    factors: Factors


def prepare_output(metric: np.ndarray, damping: float = OUTPUT_DAMPING, unit: int = 1) -> Output:
    """Damp and factorize an output metric, (out, out) float64, for codebooks that code `unit` rows jointly."""
    full, _ = damped(metric, damping)
    full *= len(full) / np.trace(full)
    return Output(full, factorize(full, row_block(len(full), unit=unit)))


@dataclass(frozen=True)
class QuantizedLinear:
    """A quantized weight matrix as it is stored: everything that `dequantize` needs."""

    codes: np.ndarray  # uint8, packed block codes, rows one after another
    row_scale: np.ndarray  # float16 (out,)
    shape: tuple[int, int]  # (out, in) of the dense matrix
    seed: int  # of the input rotation
    codebook: Codebook

    @property
    def bits(self) -> int:
        """Stored bits of codes and scales."""
        return 8 * (self.codes.nbytes + self.row_scale.nbytes)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits over out * in."""
        return self.bits / (self.shape[0] * self.shape[1])

    def block_codes(self) -> np.ndarray:
        """The codes of all blocks, row after row: uint64, or uint8 (blocks, bytes) for long codes."""
        blocks = padded_width(self.shape[1], self.codebook.dim) // self.codebook.dim
        return pack.unpack(self.codes, self.codebook.bits, self.shape[0] * blocks)

    def dequantize(self) -> np.ndarray:
        """The weight matrix (out, in) float32 in the layer's own coordinates."""
        rows, width = self.shape
        values = self.codebook.decode(self.block_codes()).reshape(rows, -1)[:, :width]
        scaled = np.ascontiguousarray(values * self.row_scale.astype(np.float32)[:, None])
        return Rotation(width, self.seed).inverse(scaled)


def packed_codes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes of all blocks, (rows, blocks) or for long codes (rows, blocks, bytes), as a byte string."""
    return pack.pack(codes.reshape(-1, *codes.shape[2:]), bits)


@dataclass(frozen=True)
class LayerReport:
    """How one layer fared.

    proxy_error, mse: the lost share of output and of weight energy; sqnr_db: the latter in dB.  damping: added to the
    diagonal of the Hessian; condition: of the damped Hessian as it was factorized, estimated from below to a few
    percent (feedback.condition_number).  bits: stored, codes and scales.  path: what was done, as words.
    """

    name: str
    rows: int
    columns: int
    bits: int
    bits_per_weight: float
    proxy_error: float
    mse: float
    sqnr_db: float
    damping: float
    condition: float
    path: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _initial_scale(rotated: np.ndarray, columns: int, name: str) -> np.ndarray:
    """(rows,) float32 root mean square of each row, as fp16 will hold it."""
    rms = np.sqrt(np.einsum("ij,ij->i", rotated, rotated, dtype=np.float64) / columns)
    return as_half(rms, name).astype(np.float32)


def as_half(scale: np.ndarray, name: str) -> np.ndarray:
    """Row scales (rows,) float32 as float16; LLVQError, naming the matrix, if one is beyond fp16."""
    if scale.max(initial=0.0) > np.finfo(np.float16).max:
        raise LLVQError(
            f"The weights of '{name}' reach {scale.max():.3g}, beyond fp16 row scales; rescale the model"
        )
    return scale.astype(np.float16)


def _path(feedback: bool, refit: bool, output: bool, passes: int) -> str:
    """The steps between rotation and bytes that were taken, in words."""
    both = "block feedback over columns and rows" if output else "block feedback"
    steps = ["input rotation", both if feedback else "no feedback"]
    if passes:
        steps.append(f"{passes} of coordinate descent")
    return ", ".join([*steps, "refit" if refit else "scales not refitted"])


def _refitted_scale(
    weight: np.ndarray,
    shape: np.ndarray,
    hessian: np.ndarray,
    start: np.ndarray,
    metric: np.ndarray | None = None,
) -> np.ndarray:
    """The row scales of least error; the start value where v H v^T vanishes or the best scale is not positive."""
    weighted = shape @ hessian.astype(np.float32)
    if metric is None:
        power = np.einsum("ij,ij->i", weighted, shape, dtype=np.float64)
        match = np.einsum("ij,ij->i", weighted, weight, dtype=np.float64)
        usable = (power > 0) & (start > 0)
        best = match / np.where(usable, power, 1.0)
    else:
        system = metric * (weighted @ shape.T)
        match = (metric * (weighted @ weight.T)).sum(axis=1)
        usable = (np.diag(system) > 0) & (start > 0)
        system[~usable] = system[:, ~usable] = 0
        system[~usable, ~usable] = 1
        best = np.linalg.solve(system, match)
    return np.where(usable & (best > 0), best, start)


def rotated_rows(
    weight: np.ndarray, prepared: Prepared, dim: int, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weight (out, in), checked, as it is rounded: rotated and padded, its first row scales as fp16 holds them,
    and these with 1 where a row is zero; all float32.

    Raises LLVQError naming the tensor if it holds NaN or infinity, ValueError on a wrong width.
    """
    width = prepared.rotation.width
    if weight.ndim != 2 or weight.shape[1] != width:
        raise ValueError(
            f"Argument 'weight' must have {width} columns, got shape {weight.shape}; pass the same layer"
        )
    if not np.isfinite(weight).all():
        raise LLVQError(f"The tensor '{name}' holds NaN or infinity; the checkpoint is damaged or diverged")
    rotated = pad_columns(prepared.rotation.apply(weight.astype(np.float32, copy=False)), dim)
    start = _initial_scale(rotated, width, name)
    return rotated, start, np.where(start > 0, start, np.float32(1))


def sweep_blocks(
    rotated: np.ndarray,
    prepared: Prepared,
    codebook: Codebook,
    scale: np.ndarray,
    feedback: bool = True,
    output: Factors | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`quantize_blocks` in the order of `prepared`: codes and quantized weight in their own places."""
    factors = prepared.factors if feedback else None
    if prepared.order is None:
        return quantize_blocks(rotated, factors, codebook, scale, output)
    columns = in_order(prepared.order, codebook.dim)
    ordered, values = quantize_blocks(
        np.ascontiguousarray(rotated[:, columns]), factors, codebook, scale, output
    )
    codes, quantized = np.empty_like(ordered), np.empty_like(values)
    codes[:, prepared.order], quantized[:, columns] = ordered, values
    return codes, quantized


def quantize_linear(
    weight: np.ndarray,
    prepared: Prepared,
    codebook: Codebook,
    name: str = "weight",
    feedback: bool = True,
    refit: bool = True,
    output: Output | None = None,
    passes: int = 0,
) -> tuple[QuantizedLinear, LayerReport]:
    """Quantize one weight matrix (out, in) float32 with the Hessian of its inputs and, if given, the metric of its
    outputs.

    Raises as `rotated_rows` does.
    `feedback=False` rounds every block on its own, `refit=False` keeps the first row scales, for comparison.
    passes: of coordinate descent after the sweep (descent.py), for codebooks of single rows and without `output`.
    ValueError for passes with `output`.
    """
    started = time.perf_counter()
    if passes and output is not None:
        raise ValueError(
            "Argument 'passes' must be 0 with an output metric; coordinate descent knows inputs only"
        )
    rotated, start, safe = rotated_rows(weight, prepared, codebook.dim, name)
    rows, width = weight.shape
    below = output.factors if feedback and output is not None else None
    codes, quantized = sweep_blocks(rotated, prepared, codebook, safe, feedback, below)
    if passes:
        full = prepared.hessian + prepared.damping * np.eye(len(prepared.hessian))
        codes, quantized = descend(rotated, codes, quantized, full, codebook, safe, passes)
    unit = quantized / safe[:, None]
    metric = None if output is None else output.metric
    best = _refitted_scale(rotated, unit, prepared.hessian, start, metric) if refit else start
    scale = as_half(best, name)
    layer = QuantizedLinear(
        packed_codes(codes, codebook.bits), scale, (rows, width), prepared.rotation.seed, codebook
    )
    error = rotated - unit * scale.astype(np.float32)[:, None]
    error[:, width:] = 0
    mse = float(
        np.square(error, dtype=np.float64).sum() / max(np.square(rotated, dtype=np.float64).sum(), 1e-300)
    )
    report = LayerReport(
        name=name,
        rows=rows,
        columns=width,
        bits=layer.bits,
        bits_per_weight=layer.bits_per_weight,
        proxy_error=proxy_error(error, rotated, prepared.hessian.astype(np.float32), metric),
        mse=mse,
        sqnr_db=float(-10 * np.log10(max(mse, 1e-300))),
        damping=prepared.damping,
        condition=prepared.factors.condition,
        path=_path(feedback, refit, output is not None, passes),
        seconds=time.perf_counter() - started,
    )
    return layer, report
