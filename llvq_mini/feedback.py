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

Rows can make up for one another too. What an output error does to the model's loss is a second quadratic form,
G (out, out), and with G = M B M^T, M unit upper triangular by blocks of rows,
    tr(G D H D^T) = tr(B E A E^T),    E = M^T D N    (A the block diagonal of H above),
so block (r, b) of rows and columns has a target that knows all errors above it and to its left,
    Wtilde_rb = W_rb + sum_{p<b} D_rp N_pb + sum_{q<r} M_qr^T F_qb,    F_qb = Wtilde_qb - W^_qb without the rows' part,
that is F = D N. Blocks on one antidiagonal do not depend on each other and are rounded together. Without G
all rows are one block and the sum over q is empty.

Which block comes first is free: codes are stored by their place, so a decoder need not know the order. The cost of
errors of unit variance, sum_b tr G_b, is least when blocks that little depends on come last; `greedy_order` chooses
from the end, each time the block of least trace after those behind it have made up for what they can. (GPTQ's
"act-order", by falling diagonal, leaves that condition out.)

A width that is no multiple of 24 is padded with zero columns that no other column depends on; layer.py counts
their bits.

What this file does not do: choose which columns form a block, refit scales, or see models. Papers: GPTQ (arXiv
2210.17323) Algorithm 1, QuIP (arXiv 2307.13304) section 4, QuIP# (arXiv 2402.04396) BlockLDLQ, LLVQ (arXiv
2603.11021) Algorithm 1, YAQA (arXiv 2505.22988) for feedback on both sides. Tests: ``tests/test_feedback.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from . import search
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
    """The block factorization of a damped Hessian: `upper` is N less its diagonal blocks, float32 (n, n); `noise`
    is the sum of the traces of G_b, what errors of unit variance cost after feedback; `condition` is the ratio of the
    largest to the smallest eigenvalue, estimated from below (`condition_number`).
    """

    upper: np.ndarray
    dim: int
    noise: float
    condition: float


def factorize(hessian: np.ndarray, dim: int = 24) -> Factors:
    """Block factors N of a positive definite (n, n) Hessian, n a multiple of `dim`;
    LLVQError if it is not definite. ValueError for another shape.
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
    blocks = triangle.reshape(width // dim, dim, width // dim, dim)
    noise = float(np.square(np.einsum("iaib->iab", blocks)).sum())
    return Factors(upper, dim, noise, condition_number(flipped))


def condition_number(triangle: np.ndarray, steps: int = 12) -> float:
    """The condition number of L L^T, L lower triangular (n, n) float64: Lanczos estimates of its largest eigenvalue
    and of that of its inverse, each from a dozen products.

    Both are reached from below, so the true value is never smaller; on Hessians, whose extreme eigenvalues stand
    apart, it is larger by a few percent at most. That takes 50 n^2 operations, all eigenvalues would take n^3.
    """

    def solved(x: np.ndarray) -> np.ndarray:
        half = solve_triangular(triangle, x, lower=True, check_finite=False)
        return np.asarray(solve_triangular(triangle, half, lower=True, trans="T", check_finite=False))

    largest = _largest_eigenvalue(lambda x: triangle @ (triangle.T @ x), len(triangle), steps)
    return largest * _largest_eigenvalue(solved, len(triangle), steps)


def _largest_eigenvalue(apply: Callable[[np.ndarray], np.ndarray], size: int, steps: int) -> float:
    """Lanczos with full reorthogonalization from a fixed random vector: the largest Ritz value."""
    basis = np.zeros((min(steps, size) + 1, size))
    basis[0] = np.random.default_rng(0).standard_normal(size)
    basis[0] /= np.linalg.norm(basis[0])
    projected = np.zeros((len(basis) - 1, len(basis) - 1))
    for j in range(len(projected)):
        image = apply(basis[j])
        projected[: j + 1, j] = basis[: j + 1] @ image
        for _ in range(2):
            image = image - (basis[: j + 1] @ image) @ basis[: j + 1]
        rest = np.linalg.norm(image)
        if rest <= 1e-10 * abs(projected[j, j]) or j + 1 == len(projected):
            projected = projected[: j + 1, : j + 1]
            break
        basis[j + 1] = image / rest
    return float(np.linalg.eigvalsh(projected, UPLO="U")[-1])


def greedy_order(hessian: np.ndarray, dim: int = 24) -> np.ndarray:
    """Blocks of a positive definite (n, n) Hessian in the order of rounding, int64 (n / dim,): from the last to the
    first, the one of least trace given the blocks behind it.
    """
    left = hessian.astype(np.float64)
    count = len(left) // dim
    open_blocks, order = list(range(count)), []
    while open_blocks:
        traces = np.diag(left).reshape(count, dim).sum(axis=1)
        last = min(open_blocks, key=lambda b: traces[b])
        open_blocks.remove(last)
        order.append(last)
        part = slice(last * dim, (last + 1) * dim)
        left -= left[:, part] @ np.linalg.solve(left[part, part], left[part])
        left[part, part] = np.eye(dim)  # zero but for rounding; it is not looked at again
    return np.array(order[::-1])


def in_order(order: np.ndarray, dim: int = 24) -> np.ndarray:
    """The columns, int64 (n,), of blocks in an order."""
    return (order[:, None] * dim + np.arange(dim)).reshape(-1)


def row_block(rows: int, largest: int = 24, unit: int = 1) -> int:
    """Rows that are rounded together under an output metric: the largest divisor of `rows` up to `largest` that is
    a multiple of `unit` (rows that a codebook codes jointly). ValueError if `unit` does not divide `rows`.
    """
    sizes = [size for size in range(unit, largest + 1, unit) if rows % size == 0]
    if not sizes:
        raise ValueError(f"Argument 'rows' must be a multiple of {unit}, got {rows}; use another codebook")
    return sizes[-1]


def quantize_blocks(
    weight: np.ndarray,
    factors: Factors | None,
    codebook: Codebook,
    scale: np.ndarray,
    output: Factors | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Round all blocks of a weight matrix in order, with feedback, or without if `factors` is None.

    weight (rows, n) float32, n a multiple of codebook.dim; scale (rows,) float32, positive: blocks are
    divided by it before encoding; output: block factors of the rows' metric G, rows a multiple of its dim. Returns
    codes (rows, n / dim) uint64, or uint8 (rows, n / dim, bytes) for long codes (codes.py), and the quantized weight
    (rows, n) float32. ValueError for shapes that do not fit together.
    """
    dim = codebook.dim
    rows, width = weight.shape
    if width % dim or scale.shape != (rows,):
        raise ValueError(
            f"Argument 'weight' must have a multiple of {dim} columns and one scale a row, "
            f"got {weight.shape} and {scale.shape}; pad the columns"
        )
    height = rows if output is None else output.dim
    if output is not None and output.upper.shape != (rows, rows):
        raise ValueError(f"Argument 'output' must be for {rows} rows, got {output.upper.shape}")
    codes = np.empty((rows, 0), dtype=np.uint64)
    quantized = np.empty((rows, width), dtype=np.float32)
    error = np.zeros((rows, width), dtype=np.float32)  # D
    carried = np.zeros((rows, width), dtype=np.float32)  # D N
    down, across = rows // height, width // dim
    with ThreadPoolExecutor(default_threads()) as pool:
        for wave in range(down + across - 1):
            cells = [
                (slice(r * height, (r + 1) * height), slice(b * dim, (b + 1) * dim))
                for r in range(max(0, wave - across + 1), min(wave + 1, down))
                for b in [wave - r]
            ]
            base, target = _targets(cells, weight, factors, output, error, carried)
            scales = np.concatenate([scale[r] for r, _ in cells])
            fresh, rounded = round_blocks(target, scales, codebook, pool)
            if wave == 0:
                codes = np.empty((rows, across, *fresh.shape[1:]), dtype=fresh.dtype)
            for (r, b), code, value, start in zip(
                cells, _parts(fresh, height), _parts(rounded, height), _parts(base, height), strict=True
            ):
                codes[r, b.start // dim] = code
                quantized[r, b] = value
                error[r, b] = weight[r, b] - value
                carried[r, b] = start - value
    return codes, quantized


def _parts(stacked: np.ndarray, height: int) -> list[np.ndarray]:
    return [stacked[start : start + height] for start in range(0, len(stacked), height)]


def _targets(
    cells: list[tuple[slice, slice]],
    weight: np.ndarray,
    factors: Factors | None,
    output: Factors | None,
    error: np.ndarray,
    carried: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """W + what columns to the left carry, and the same plus what rows above carry: the cells' blocks, stacked."""
    bases, targets = [], []
    for r, b in cells:
        base = weight[r, b]
        if factors is not None and b.start:
            base = base + error[r, : b.start] @ factors.upper[: b.start, b]
        target = base
        if output is not None and r.start:
            target = base + output.upper[: r.start, r].T @ carried[: r.start, b]
        bases.append(base)
        targets.append(target)
    return np.concatenate(bases), np.concatenate(targets)


def round_blocks(
    target: np.ndarray, scale: np.ndarray, codebook: Codebook, pool: ThreadPoolExecutor
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) and values (n, dim) of blocks (n, dim), encoded in slabs on several threads."""
    blocks = np.ascontiguousarray(target / scale[:, None], dtype=np.float32)
    size = max(len(blocks), 1) if search.is_elsewhere() else _SLAB  # codes do not depend on it
    slabs = [blocks[start : start + size] for start in range(0, len(blocks), size)]

    def encode(slab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes = codebook.encode(slab)
        return codes, codebook.decode(codes)

    done = list(pool.map(encode, slabs))
    return np.concatenate([codes for codes, _ in done]), np.concatenate([v for _, v in done]) * scale[:, None]


def proxy_error(
    error: np.ndarray, weight: np.ndarray, hessian: np.ndarray, output: np.ndarray | None = None
) -> float:
    """tr(G D H D^T) / tr(G W H W^T), G = 1 without an output metric: the share of the layer's output energy that
    is lost; 0 for a zero layer.
    """

    def energy(matrix: np.ndarray) -> float:
        return float(np.einsum("ij,ij->", matrix @ hessian, matrix if output is None else output @ matrix))

    whole = energy(weight)
    return energy(error) / whole if whole > 0 else 0.0
