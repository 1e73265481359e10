"""Coordinate descent: round every block again, now that the errors of all other blocks are known.

Feedback chooses block b before it knows the blocks that come after it. With all errors D = W - W^ at hand, the loss
tr(D H D^T) as a function of one block's error D_b alone is
    (D_b - C_b) H_bb (D_b - C_b)^T + const,    C_b = -sum_{p != b} D_p H_pb H_bb^-1,
so the block has a new target, W_b - C_b. The codebook finds the code word nearest to it; that is the best one only if
H_bb is a multiple of the identity (a rotation makes it nearly so), and therefore every row takes the new code word only
where the loss itself falls. Blocks are visited from the first to the last, and the loss of no row ever grows.

It needs no bits and another search for every block, and it pays where H is far from white: a few directions with most
of the energy, like the attention sink's in the input of value projections, spread over all blocks, and the last
blocks of a sweep have nobody to correct them.

What this file does not do: codebooks that code several rows together; output metrics; scales (layer.py refits them
afterwards). Method: iterated conditional modes (J. Besag, J. R. Stat. Soc. B 48, 1986), in quantization QuIP
(arXiv 2307.13304, "greedy updates") and CDQuant (arXiv 2406.17542). Tests: ``tests/test_descent.py``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ._parallel import default_threads
from .feedback import round_blocks

if TYPE_CHECKING:
    from .codebook import Codebook

_FALL = 1e-6
"""Relative fall of a block's loss below which a code word stays: well above what float32 sums can feign."""


def descend(
    weight: np.ndarray,
    codes: np.ndarray,
    quantized: np.ndarray,
    hessian: np.ndarray,
    codebook: Codebook,
    scale: np.ndarray,
    passes: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Better codes (rows, n / dim) and quantized weight (rows, n) than those given, which stay as they are.

    weight, codes, quantized, scale as of `feedback.quantize_blocks`; hessian (n, n) positive definite; it stops before
    `passes` are over if no code word changes. ValueError for shapes that do not fit together.
    """
    dim = codebook.dim
    rows, width = weight.shape
    if hessian.shape != (width, width) or width % dim or quantized.shape != weight.shape:
        raise ValueError(
            f"Argument 'hessian' must be ({width}, {width}) and 'quantized' {weight.shape}, a multiple of {dim} "
            f"columns, got {hessian.shape} and {quantized.shape}; pad all of them"
        )
    metric = hessian.astype(np.float32)
    codes, quantized = codes.copy(), quantized.copy()
    error = weight - quantized
    with ThreadPoolExecutor(default_threads()) as pool:
        for _ in range(passes):
            changed = False
            for start in range(0, width, dim):
                part = slice(start, start + dim)
                own = hessian[part, part].astype(np.float64)
                pull = (error @ metric[:, part]).astype(np.float64)  # half the gradient of the loss
                away = np.linalg.solve(own, pull.T).T  # D_b - C_b
                target = (quantized[:, part] + away).astype(np.float32)
                fresh, values = round_blocks(target, scale, codebook, pool)
                left = away + quantized[:, part] - values
                before = np.einsum("ij,ij->i", pull, away)
                after = np.einsum("ij,ij->i", left @ own, left)
                better = after < (1 - _FALL) * before
                if better.any():
                    changed = True
                    codes[better, start // dim] = fresh[better]
                    quantized[better, part] = values[better]
                    error[better, part] = weight[better, part] - values[better]
            if not changed:
                break
    return codes, quantized
