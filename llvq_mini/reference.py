"""The slow, obvious search, which tests and benchmarks compare the fast one with.

It tries every class of every shell against every Golay word (Adoul and Barth's idea), one block at a time, and
shares nothing with search.py but the definition of the lattice.  Take a class of vectors with fixed absolute
values (shells.Leader) and a Golay word.  The values may stand in any order, and the best order follows from the
rearrangement inequality: sum a_i b_i is largest when both sequences are sorted alike.

    odd    v_i = a_i off the word and -a_i on it, where a_i = 1 (mod 4).  A value's sign in `a` is therefore
           fixed: +1, -3, +5, -7, ...   With y_i = x_i off the word and -x_i on it, <x, v> = <y, a>; sort both.
    even   The word values (2, 6, 10, ...) stand on the word and the free values (0, 4, 8, ...) off it; sort each
           part against |x| there and give v_i the sign of x_i.  The number of minus signs on the word must be
           (sum |v_i|) / 4 (mod 2).  If it is not, one word value must take the wrong sign.  That coordinate then
           counts as -|x_i|, the smallest of all, so it meets the smallest word value, and the cheapest one to
           give up is the smallest |x_i|.  The cost is 2 (smallest word value) (smallest |x_i| on the word).

One block costs 8192 sorts and one matrix product (words x leaders) for every word weight.  `nearest_point` needs
no classes: each of the 8192 pairs (coset, word) is a translate of an even sublattice of 4 Z^24, decoded by
rounding.

Ties inside a class go to any arrangement; search.py has the exact tie rule.  Not here: speed, threads,
certificates.  Source: J.-P. Adoul and M. Barth, "Nearest neighbor algorithm for spherical codes from the Leech
lattice", IEEE Trans. Inf. Theory 34 (1988); J. H. Conway and N. J. A. Sloane, "Fast quantizing and decoding
algorithms for lattice quantizers and codes", IEEE Trans. Inf. Theory 28 (1982).  Tests: tests/test_reference.py.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini import golay, shells

Floats = NDArray[np.float64]


class Group(NamedTuple):
    """All classes with one coset and one word weight w, and all words they can stand on (W words, L leaders).

    order: int64[W, 24], the coordinates on the word first, then those off it (odd: 0 ... 23).
    signs: float64[W, 24], -1 on the word and +1 off it.
    values: float64[24, L], each leader as a column, both parts descending (odd: the signed a, descending).
    w: number of rows of `values` that are word values (odd: 0, the signs need no repair).
    shell, parity: int64[L], |v|^2 / 16 and the prescribed parity of minus signs on the word.
    """

    order: NDArray[np.int64]
    signs: Floats
    values: Floats
    w: int
    shell: NDArray[np.int64]
    parity: NDArray[np.int64]


@cache
def _groups(max_shell: int) -> tuple[Group, ...]:
    """The classes of shells 2 ... max_shell: one odd group, and one even group for each word weight."""
    columns: dict[int, list[tuple[int, shells.Leader]]] = {}
    for m in range(2, max_shell + 1):
        for leader in shells.classes(m):
            columns.setdefault(leader.weight, []).append((m, leader))
    groups = []
    for weight, members in columns.items():
        odd = weight == -1
        words = golay.WORDS if odd else golay.of_weight(weight)
        bits = golay.to_bits(words).astype(np.int64)
        values = np.array([leader.values for _, leader in members], dtype=np.float64).T
        parity = values.sum(axis=0).astype(np.int64) // 4 & 1  # (sum |v|) / 4 mod 2; even classes only
        if odd:
            values = -np.sort(-np.where(values % 4 == 1, values, -values), axis=0)
        order = np.tile(np.arange(24), (len(bits), 1)) if odd else np.argsort(-bits, axis=1, kind="stable")
        shell = np.array([m for m, _ in members])
        signs = np.where(bits == 1, -1.0, 1.0)
        groups.append(Group(order, signs, values, max(weight, 0), shell, parity))
    return tuple(groups)


def _keys(group: Group, x: Floats) -> Floats:
    """What is sorted, (W, 24): y = signs * x for odd words; |x|, word coordinates first, for even ones."""
    return group.signs * x if group.signs.shape[0] == 4096 else np.abs(x)[group.order]


def _scores(group: Group, x: Floats) -> Floats:
    """Best <x, v> of every word with every leader, (W, L)."""
    w, keys = group.w, _keys(group, x)
    ordered = np.empty_like(keys)
    ordered[:, :w] = -np.sort(-keys[:, :w], axis=1)
    ordered[:, w:] = -np.sort(-keys[:, w:], axis=1)
    dots = ordered @ group.values  # rearrangement inequality
    if w:
        minus = (x < 0)[group.order[:, :w]].sum(axis=1)
        wrong = (minus[:, None] + group.parity) & 1
        dots -= wrong * (ordered[:, w - 1 : w] * (2 * group.values[w - 1]))  # 2 w_min |x|_min
    return dots


def _build(group: Group, word: int, leader: int, x: Floats) -> NDArray[np.int8]:
    """The vector behind _scores(group, x)[word, leader]."""
    w, keys, order = group.w, _keys(group, x)[word], group.order[word]
    position = np.concatenate([np.argsort(-keys[:w]), w + np.argsort(-keys[w:])])  # best first, part by part
    v = np.zeros(24)
    v[order[position]] = group.values[:, leader]
    if group.signs.shape[0] == 4096:
        return (v * group.signs[word]).astype(np.int8)
    v = np.where(x < 0, -v, v)
    minus = (x < 0)[order[:w]].sum()
    if w and (minus + group.parity[leader]) & 1:
        v[order[position[w - 1]]] *= -1
    return v.astype(np.int8)


def _as_blocks(x: ArrayLike) -> Floats:
    a = np.asarray(x)
    if a.ndim != 2 or a.shape[1] != 24 or a.dtype.kind not in "fiu":
        raise ValueError(f"Argument 'x' must be real of shape (n, 24), got {a.dtype} {a.shape}.")
    if not np.isfinite(a).all():
        raise ValueError("Argument 'x' must be finite; it holds NaN or infinity.")
    return a.astype(np.float64)


def _check_shell(max_shell: int) -> None:
    if max_shell < 2:
        raise ValueError(f"Argument 'max_shell' must be >= 2 (shell 1 is empty), got {max_shell}.")


def _best(x: Floats, max_shell: int) -> tuple[Floats, list[tuple[Group, int, int]]]:
    """For one block: the best <x, v> on each shell, (max_shell + 1,), and (group, word, leader) reaching it."""
    best = np.full(max_shell + 1, -np.inf)
    where: list[tuple[Group, int, int]] = [(_groups(max_shell)[0], 0, 0)] * (max_shell + 1)
    for group in _groups(max_shell):
        dots = _scores(group, x)
        top = dots.max(axis=0)
        for leader, (m, dot) in enumerate(zip(group.shell, top, strict=True)):
            if dot > best[m]:
                best[m], where[m] = dot, (group, int(dots[:, leader].argmax()), leader)
    return best, where


def best_per_shell(x: ArrayLike, max_shell: int) -> Floats:
    """Largest inner product <x, v> with a lattice vector v of each shell.

    Parameters: x, (n, 24) real and finite; max_shell >= 2.
    Returns: float64 (n, max_shell + 1); column m belongs to shell m, columns 0 and 1 hold -inf.
    Raises ValueError for another shape, NaN, infinity, or max_shell < 2.
    """
    blocks = _as_blocks(x)
    _check_shell(max_shell)
    return np.array([_best(row, max_shell)[0] for row in blocks]).reshape(-1, max_shell + 1)


def _exponent(row: Floats) -> int:
    """e with max |row| = f 2^e, 0.5 <= f < 1: dividing by 2^e is exact and keeps all products in range."""
    return int(np.frexp(np.abs(row).max())[1])


def nearest_direction(x: ArrayLike, max_shell: int = 12) -> NDArray[np.int8]:
    """The lattice vector of shells m = 2 ... max_shell with the largest cosine to x, <x, v> / sqrt(16 m).

    Parameters: x, (n, 24) real and finite; max_shell >= 2.
    Returns: int8 (n, 24) in the sqrt(8)-scaled frame; (4, 4, 0, ..., 0) for x = 0.
    Raises ValueError for another shape, NaN, infinity, or max_shell < 2.
    """
    blocks = _as_blocks(x)
    _check_shell(max_shell)
    out = np.zeros((len(blocks), 24), dtype=np.int8)
    length = np.sqrt(16.0 * np.maximum(np.arange(max_shell + 1), 1))
    for row, v in zip(blocks, out, strict=True):
        if not row.any():
            v[:2] = 4
            continue
        y = np.ldexp(row, -_exponent(row))
        best, where = _best(y, max_shell)
        v[:] = _build(*where[int((best / length).argmax())], y)
    return out


def nearest_in_ball(x: ArrayLike, max_shell: int = 13, scale: float = 1.0) -> NDArray[np.int8]:
    """The point v of the ball (origin and shells 2 ... max_shell) for which |x - scale v| is smallest.

    With y = x / scale it maximizes 2 <y, v> - |v|^2; the origin has value 0.

    Parameters: x, (n, 24) real and finite; max_shell >= 2; scale > 0, length of one integer step.
    Returns: int8 (n, 24).
    Raises ValueError for another shape, NaN, infinity, max_shell < 2, or a scale that is not positive.
    """
    if not (0 < scale < np.inf):
        raise ValueError(f"Argument 'scale' must be positive and finite, got {scale}.")
    blocks = _as_blocks(_as_blocks(x) / scale)  # the quotient may overflow
    _check_shell(max_shell)
    out = np.zeros((len(blocks), 24), dtype=np.int8)
    norms = 16.0 * np.arange(max_shell + 1)
    for row, v in zip(blocks, out, strict=True):
        e = max(_exponent(row), 0)
        y = np.ldexp(row, -e)
        best, where = _best(y, max_shell)
        gain = 2 * best - np.ldexp(norms, -e)  # both terms divided by 2^e
        if gain.max() > 0:
            v[:] = _build(*where[int(gain.argmax())], y)
    return out


def nearest_point(x: ArrayLike) -> NDArray[np.int64]:
    """The nearest point of the whole lattice, trying all 8192 cosets of {4k : sum k even}.

    For a coset (e, c): k_i = round((x_i - 2 c_i - e) / 4), d_i the remainder, |d_i| <= 2.  If sum k is not e
    modulo 2, the coordinate with the largest |d_i| is rounded the other way, which costs 16 - 8 |d_i| more.

    Parameters: x, (n, 24) real, |x_i| < 2**50.  Returns: int64 (n, 24); among equally near points any one.
    Raises ValueError for another shape, NaN, infinity, or larger values.
    """
    blocks = _as_blocks(x)
    if blocks.size and np.abs(blocks).max() >= 2.0**50:
        raise ValueError(f"Argument 'x' must stay below 2**50, got {np.abs(blocks).max():.6g}; no digits are left.")
    bits = golay.to_bits(golay.WORDS).astype(np.int64)
    out = np.zeros(blocks.shape, dtype=np.int64)
    for row, v in zip(blocks, out, strict=True):
        candidates = []
        for e in (0, 1):
            k = np.stack([np.rint((row - 2 * c - e) / 4) for c in (0, 1)])  # (2, 24): by the bit of the word
            d = np.stack([row - 2 * c - e - 4 * k[c] for c in (0, 1)])
            word_k, word_d = np.where(bits, k[1], k[0]), np.where(bits, d[1], d[0])  # (4096, 24)
            wrong = (word_k.sum(axis=1) - e) % 2
            largest = np.abs(word_d).argmax(axis=1)
            cost = (word_d**2).sum(axis=1) + wrong * (16 - 8 * np.abs(word_d).max(axis=1))
            n = int(cost.argmin())
            kn = word_k[n]
            if wrong[n]:
                kn[largest[n]] += 1 if word_d[n, largest[n]] >= 0 else -1
            candidates.append((cost[n], 4 * kn + 2 * bits[n] + e))
        v[:] = min(candidates, key=lambda pair: pair[0])[1]
    return out
