"""Spherical GPTQ: the lattice chooses directions, every block keeps its length, lengths are refitted at the end.

    sweep    block b of a row, with compensated target t_b (feedback.py), becomes |t_b| u_b, u_b the nearest direction:
             after rounding, the row is put back on the product of spheres that it came from, and the error that
             later blocks make up for is formed there.
    refit    with directions fixed, a row's error is quadratic in the lengths s of its blocks,
                 (w - s u) H (w - s u)^T = const - 2 r s^T + s M s^T,    M_pq = u_p H_pq u_q^T,  r_p = u_p H_p: w^T,
             and a ridge holds s near the lengths s0 of the sweep:
                 s = s0 + (M + lambda I)^-1 (r - M s0),    lambda = RIDGE * mean diagonal of M.

Two readings of the paper are decided here. The norm that a block keeps is that of its compensated target, as in its
Algorithms 1 and 2; line 6 of Algorithm 3 has the original weights. And its ridge, s = (M + lambda I)^-1 r with s in
units of s0, draws scales to zero; here to where the sweep left them, so that the refit never makes an error larger.

A length is not free. `kept_norms` stores one float16 a block, 16 / 24 = 0.67 bits a weight on top of the directions.
`shared_norms` stays in the format of the shape-gain code: the sweep is the same, but in the end every block takes one
of the code's 2^b levels times the scale of its row, chosen by coordinate descent on the quadratic form above
(with H and in turn with the row's scale), so that the rate is that of plain GPTQ with the same code.

What this file does not do: output metrics; files. Paper: LLVQ (arXiv 2603.11021, version 2), Algorithms 2 and 3. Tests:
``tests/test_spherical_gptq.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import gain, index, search
from .codebook import ShapeGain
from .codes import check_blocks, check_codes
from .layer import Prepared, QuantizedLinear, as_half, packed_codes, rotated_rows, sweep_blocks

RIDGE = 1e-3
_ROUNDS = 20
"""Rounds of levels and row scales; they stop earlier when no level changes."""


class NormKept:
    """The Codebook protocol for a direction on shells 2 ... max_shell and the block's own norm in float16.

    The index of the direction is in the low bits of a code, the float16's bits are above: 48 + 16 for shell 13.
    """

    dim = gain.DIM

    def __init__(self, max_shell: int = 13) -> None:
        self.max_shell = search.check_shell(max_shell, 2, highest=13)
        self.shape_bits = index.bits(self.max_shell)
        self.bits = self.shape_bits + 16

    @property
    def name(self) -> str:
        return f"Leech directions, shells 2-{self.max_shell}, and the norm in float16"

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    @property
    def table_bytes(self) -> int:
        return index.table_bytes(self.max_shell)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 24): nearest direction, own norm (beyond float16's range, its largest)."""
        blocks = check_blocks(x, self.dim)
        shape = index.encode(search.nearest_direction(blocks, self.max_shell), self.max_shell)
        return self.with_norms(shape, np.linalg.norm(blocks, axis=1))

    def with_norms(self, codes: ArrayLike, norms: NDArray) -> NDArray[np.uint64]:
        """The same directions with other norms (n,), of either sign."""
        largest = float(np.finfo(np.float16).max)
        half = np.clip(norms, -largest, largest).astype(np.float16).view(np.uint16).astype(np.uint64)
        shape = np.asarray(codes, dtype=np.uint64) & np.uint64((1 << self.shape_bits) - 1)
        return shape | half << np.uint64(self.shape_bits)

    def norms(self, codes: ArrayLike) -> NDArray[np.float64]:
        """The norms (n,) in codes, multiples of the row scale."""
        half = np.asarray(codes, dtype=np.uint64) >> np.uint64(self.shape_bits)
        return half.astype(np.uint16).view(np.float16).astype(np.float64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 24); ValueError for codes with no direction or no finite norm."""
        c = check_codes(codes, 1 << self.bits)
        shape, norms = c & np.uint64((1 << self.shape_bits) - 1), self.norms(c)
        bad = (shape == 0) | (shape >= index.size(self.max_shell)) | ~np.isfinite(norms)
        if bad.any():
            raise ValueError(
                f"Argument 'codes' must hold directions and finite norms; entry {bad.argmax()} does not."
            )
        return gain.scaled_directions(index.decode(shape, self.max_shell), norms)

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, max_shell."""
        return {"kind": "norm-kept", "max_shell": self.max_shell}


def scale_system(
    weight: NDArray, points: NDArray, hessian: NDArray, dim: int = gain.DIM
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """M (rows, blocks, blocks) and r (rows, blocks) of the quadratic form of the blocks' scales.

    weight, points (rows, n); hessian (n, n). In units of the points' own lengths: all scales 1 is the points.
    ValueError unless these shapes fit together.
    """
    rows, width = points.shape
    if width % dim or weight.shape != points.shape or hessian.shape != (width, width):
        raise ValueError(
            f"Argument 'points' must have a multiple of {dim} columns and the shape of 'weight', got "
            f"{points.shape}, {weight.shape} and a Hessian {hessian.shape}; pad all three"
        )
    blocks = width // dim
    system, match = np.empty((rows, blocks, blocks)), np.empty((rows, blocks))
    for p in range(blocks):
        part = slice(p * dim, (p + 1) * dim)
        seen = points[:, part].astype(np.float64) @ hessian[part]  # u_p H_p:
        system[:, p] = (seen * points).reshape(rows, blocks, dim).sum(axis=2)
        match[:, p] = np.einsum("ij,ij->i", seen, weight)
    return system, match


def refitted_scales(
    system: NDArray[np.float64], match: NDArray[np.float64], ridge: float = RIDGE
) -> NDArray[np.float64]:
    """Scales (rows, blocks) of least error plus lambda |s - 1|^2 a row; 1 for blocks that nothing depends on."""
    blocks = match.shape[1]
    diagonal = np.einsum("ipp->ip", system)
    amount = ridge * diagonal.mean(axis=1, keepdims=True)
    idle = diagonal + amount <= 0
    damped = system + np.eye(blocks) * (amount + idle)[:, :, None]
    return 1 + np.linalg.solve(damped, (match - system.sum(axis=2))[:, :, None])[:, :, 0]


def chosen_levels(
    system: NDArray[np.float64], match: NDArray[np.float64], levels: NDArray[np.float64], start: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A level for every block and a scale for every row, by descent: (rows, blocks) and (rows,).

    system, match: as of `scale_system` for unit directions. start (rows,): the rows' first scales. Each step, one block
    to its best level or all rows to their best scales, is an exact minimum, so the error never grows.
    """
    scale = start.astype(np.float64)
    edges = (levels[1:] + levels[:-1]) / 2
    chosen = np.full(match.shape, levels.mean())
    for _ in range(_ROUNDS):
        before = chosen.copy()
        for p in range(match.shape[1]):
            own = system[:, p, p] * scale
            rest = np.einsum("iq,iq->i", system[:, p], chosen) * scale - own * chosen[:, p]
            best = np.divide(match[:, p] - rest, own, out=chosen[:, p].copy(), where=own > 0)
            chosen[:, p] = levels[np.searchsorted(edges, best)]
        power = np.einsum("ip,ipq,iq->i", chosen, system, chosen)
        fitted = np.divide(np.einsum("ip,ip->i", match, chosen), power, out=scale.copy(), where=power > 0)
        scale = np.where((fitted > 0) & (start > 0), fitted, scale)
        if np.array_equal(before, chosen):
            break
    return chosen, scale


def _sweep(
    weight: NDArray, prepared: Prepared, book: NormKept, name: str
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """The rotated weight, the row scales in float32, codes and points of the sweep that keeps norms."""
    rotated, start, safe = rotated_rows(weight, prepared, book.dim, name)
    codes, points = sweep_blocks(rotated, prepared, book, safe)
    return rotated, start, codes, points


def kept_norms(
    weight: NDArray,
    prepared: Prepared,
    max_shell: int = 13,
    refit: bool = True,
    name: str = "weight",
) -> QuantizedLinear:
    """Spherical GPTQ of a matrix (out, in) with a float16 norm for every block, refitted or as the sweep kept it.

    Bits: index.bits(max_shell) + 16 a block, and the row scale's 16. Raises as `layer.quantize_linear` does.
    """
    book = NormKept(max_shell)
    rotated, start, codes, points = _sweep(weight, prepared, book, name)
    if refit:
        norms = book.norms(codes) * refitted_scales(*scale_system(rotated, points, prepared.hessian))
        codes = book.with_norms(codes, norms)
    packed = packed_codes(codes, book.bits)
    return QuantizedLinear(packed, as_half(start, name), weight.shape, prepared.rotation.seed, book)


def shared_norms(
    weight: NDArray, prepared: Prepared, book: ShapeGain, name: str = "weight"
) -> QuantizedLinear:
    """Spherical GPTQ of a matrix (out, in) in the format of a shape-gain code, at the code's own rate."""
    rotated, start, codes, points = _sweep(weight, prepared, NormKept(book.max_shell), name)
    rows = len(rotated)
    cut = points.reshape(rows, -1, gain.DIM)
    length = np.linalg.norm(cut, axis=2, keepdims=True)
    units = np.divide(cut, length, out=np.zeros_like(cut), where=length > 0)
    system, match = scale_system(rotated, units.reshape(rotated.shape), prepared.hessian)
    chosen, scale = chosen_levels(system, match, book.levels, start)
    shapes = book.encode((units * chosen[:, :, None]).reshape(-1, gain.DIM).astype(np.float32))
    packed = packed_codes(shapes.reshape(codes.shape), book.bits)
    return QuantizedLinear(packed, as_half(scale, name), weight.shape, prepared.rotation.seed, book)
