"""Error feedback: quantize 24 columns, let the columns that follow make up for the error.

The output error tr(D H D^T), D = W - W^, couples columns through H. Factor H once, in blocks of 24,
    H = N G N^T,    N unit upper triangular by blocks,  G block diagonal, G_b = T_b T_b^T,
and the error becomes a sum over blocks,
    tr(D H D^T) = sum_b |E_b T_b|^2,    E_b = D_b + sum_{p<b} D_p N_pb.
Block b is therefore best rounded as E_b = Wtilde_b - Q(Wtilde_b) with the compensated target
    Wtilde_b = W_b + sum_{p<b} (W_p - W^_p) N_pb,
which needs the errors of earlier blocks only. This is LDLQ; it is also GPTQ with blocks: with H^-1 = U^T U,
GPTQ subtracts E_b (U_bb)^-1 U_bR = E_b (N^-1)_bR from the columns R to the right, which gives the same
targets. Here nothing is inverted: N is one flipped Cholesky factorization and one triangular solve per
block, in float64.

A width that is no multiple of 24 is padded with zero columns that no other column depends on; layer.py counts
their bits.

What this file does not do: choose an order of columns, weigh one row against another, refit scales, or see
models. Papers: GPTQ (arXiv 2210.17323) Algorithm 1, QuIP (arXiv 2307.13304) section 4, QuIP# (arXiv
2402.04396) BlockLDLQ, LLVQ (arXiv 2603.11021) Algorithm 1. Tests: ``tests/test_feedback.py``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._parallel import default_threads
from .errors import LLVQError

if TYPE_CHECKING:
    from .codebook import Codebook

_SLAB = 192  # rows that one thread encodes at a time; fixed, so that results do not depend on the threads


def padded_width(width: int, dim: int = 24) -> int:
    """The next multiple of `dim`."""
    return -(-width // dim) * dim


def pad_hessian(hessian: np.ndarray, dim: int = 24) -> np.ndarray:
    """Extend H to a multiple of `dim` by an identity block scaled to its mean diagonal."""
    width = len(hessian)
    full = padded_width(width, dim)
    result = np.zeros((full, full))
    result[:width, :width] = hessian
    tail = np.arange(width, full)
    result[tail, tail] = np.trace(hessian) / width
    return result


def pad_columns(weight: np.ndarray, dim: int = 24) -> np.ndarray:
    """(rows, n) -> (rows, padded n) with zeros on the right."""
    return np.pad(weight, ((0, 0), (0, padded_width(weight.shape[1], dim) - weight.shape[1])))


@dataclass(frozen=True)
class Factors:
    """The block factorization of a damped Hessian: `upper` is N less its diagonal blocks, float32 (n, n)."""

    upper: np.ndarray
    dim: int


def factorize(hessian: np.ndarray, dim: int = 24) -> Factors:
    """Block factors N of a positive definite (n, n) Hessian, n a multiple of `dim`;
    LLVQError if it is not definite.
    """
    width = len(hessian)
    if hessian.shape != (width, width) or width % dim:
        raise ValueError(
            f"Argument 'hessian' must be square with a multiple of {dim} rows, got {hessian.shape}; pad it"
        )
    try:
        flipped = np.linalg.cholesky(hessian[::-1, ::-1].astype(np.float64))
    except np.linalg.LinAlgError as error:
        raise LLVQError(
            "A calibration Hessian is not positive definite; use more text or a larger damping"
        ) from error
    triangle = flipped[::-1, ::-1]  # T upper triangular, H = T T^T
    upper = np.zeros((width, width), dtype=np.float32)
    for start in range(dim, width, dim):
        block = slice(start, start + dim)
        # N_pb = T_pb (T_bb)^-1 for the rows p above the block
        upper[:start, block] = np.linalg.solve(triangle[block, block].T, triangle[:start, block].T).T
    return Factors(upper, dim)


def quantize_blocks(
    weight: np.ndarray, factors: Factors | None, codebook: Codebook, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Round all blocks of a weight matrix in order, with feedback, or without if `factors` is None.

    weight (rows, n) float32, n a multiple of codebook.dim; scale (rows,) float32, positive: blocks are
    divided by it before encoding. Returns codes (rows, n / dim) uint64 and the quantized weight (rows, n)
    float32.
    """
    dim = codebook.dim
    rows, width = weight.shape
    if width % dim or scale.shape != (rows,):
        raise ValueError(
            f"Argument 'weight' must have a multiple of {dim} columns and one scale a row, "
            f"got {weight.shape} and {scale.shape}; pad the columns"
        )
    codes = np.empty((rows, width // dim), dtype=np.uint64)
    quantized = np.empty((rows, width), dtype=np.float32)
    error = np.empty((rows, width), dtype=np.float32)
    slabs = [slice(start, start + _SLAB) for start in range(0, rows, _SLAB)]
    with ThreadPoolExecutor(max(1, min(default_threads(), len(slabs)))) as pool:
        for b in range(width // dim):
            block = slice(b * dim, (b + 1) * dim)
            target = weight[:, block]
            if factors is not None and b:
                target = target + error[:, : b * dim] @ factors.upper[: b * dim, block]
            target = np.ascontiguousarray(target / scale[:, None], dtype=np.float32)

            def round_slab(slab: slice, b: int = b, target: np.ndarray = target) -> None:
                codes[slab, b] = codebook.encode(target[slab])
                quantized[slab, b * dim : (b + 1) * dim] = codebook.decode(codes[slab, b])

            list(pool.map(round_slab, slabs))
            quantized[:, block] *= scale[:, None]
            error[:, block] = weight[:, block] - quantized[:, block]
    return codes, quantized


def proxy_error(error: np.ndarray, weight: np.ndarray, hessian: np.ndarray) -> float:
    """tr(D H D^T) / tr(W H W^T): the share of the layer's output energy that is lost; 0 for a zero layer."""
    energy = float(np.einsum("ij,ij->", weight @ hessian, weight))
    loss = float(np.einsum("ij,ij->", error @ hessian, error))
    return loss / energy if energy > 0 else 0.0
