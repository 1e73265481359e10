"""Shells of the Leech lattice and their classes.

Two vectors belong to one class when one becomes the other by permuting coordinates and changing signs inside the
lattice.  A class is known by its leader: the absolute values of the coordinates in descending order, together with the
coset (even or odd) and, for even vectors, the weight of the Golay word that carries the values congruent to 2 mod 4.

    even   The w "word values" are 2, 6, 10, ..., the 24 - w "free values" 0, 4, 8, ...:
           A(w) words . w!/prod(mult!) . (24-w)!/prod(mult!) . 2^(w-1) . 2^(free nonzero).
           The signs on the word have a prescribed parity. If w = 0 there are none, the factor 2^(w-1) is 1, and
           the number of free values congruent to 4 mod 8 must be even.
    odd    All values are odd, and the word prescribes the signs: 4096 words . 24!/prod(mult!).
           The number of values congruent to 3 or 5 mod 8 must be odd.

Summed over its classes, each shell agrees with the theta series in leech.py, which is how the tests check both.
All counts are exact Python integers.  The origin is shell 0; sizes of balls do not count it.

Source: Conway and Sloane, "Sphere Packings, Lattices and Groups", chapter 4, section 11 (the shells); J.-P. Adoul and
M. Barth, "Nearest neighbor algorithm for spherical codes from the Leech lattice", IEEE Trans. Inf. Theory 34 (1988)
(class leaders).  Tests: tests/test_shells.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from math import factorial, prod
from typing import NamedTuple

from llvq_mini import golay, leech

WORD_COUNT = {w: len(golay.of_weight(w)) for w in (0, 8, 12, 16, 24)}
"""Golay words by weight: {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}."""


class Leader(NamedTuple):
    """One class of a shell.

    values: the 24 absolute values in descending order; for even classes the `weight` word values come first, then the
    free values, each part in descending order.  coset: 0 even, 1 odd.  weight: word weight, -1 for odd classes.
    cardinality: number of lattice vectors in the class.
    """

    values: tuple[int, ...]
    coset: int
    weight: int
    cardinality: int


def _squares(total: int, count: int, values: list[int]) -> Iterator[tuple[int, ...]]:
    """All descending tuples of `count` numbers from `values` (descending, distinct) whose squares sum to `total`."""
    if count == 0:
        if total == 0:
            yield ()
        return
    for n, value in enumerate(values):
        if value * value <= total <= count * value * value:
            for rest in _squares(total - value * value, count - 1, values[n:]):
                yield (value, *rest)


def _arrangements(values: tuple[int, ...]) -> int:
    return factorial(len(values)) // prod(factorial(n) for n in Counter(values).values())


def _even_classes(norm: int, w: int) -> Iterator[Leader]:
    top = int(norm**0.5)
    word_values = [v for v in range(top, 1, -1) if v % 4 == 2]
    free_values = [v for v in range(top, -1, -1) if v % 4 == 0]
    for word_norm in range(4 * w, norm + 1, 16):
        free_parts = list(_squares(norm - word_norm, 24 - w, free_values))
        for word_part in _squares(word_norm, w, word_values):
            for free_part in free_parts:
                if w == 0 and sum(free_part) % 8:
                    continue
                signs = 2 ** (max(w - 1, 0) + sum(v > 0 for v in free_part))
                count = WORD_COUNT[w] * _arrangements(word_part) * _arrangements(free_part) * signs
                yield Leader(word_part + free_part, 0, w, count)


def _odd_classes(norm: int) -> Iterator[Leader]:
    for values in _squares(norm, 24, [v for v in range(int(norm**0.5), 0, -1) if v % 2]):
        if sum(v % 8 in (3, 5) for v in values) % 2:
            yield Leader(values, 1, -1, 4096 * _arrangements(values))


@cache
def classes(m: int) -> tuple[Leader, ...]:
    """The classes of shell m, even ones first; empty for m = 1.

    301 classes make up the shells up to 12 and 383 those up to 13.  Raises ValueError for m < 0.
    """
    if m < 0:
        raise ValueError(f"Argument 'm' must be >= 0, got {m}.")
    even = [leader for w in WORD_COUNT for leader in _even_classes(16 * m, w)]
    return (*even, *_odd_classes(16 * m))


def size(m: int) -> int:
    """Number of lattice vectors on shell m, from the classes: 196560, 16773120, 398034000 for m = 2, 3, 4."""
    return sum(leader.cardinality for leader in classes(m))


@cache
def ball_size(max_shell: int) -> int:
    """Number of lattice vectors on shells 1 ... max_shell (the origin is not counted), from the theta series.

    ValueError for a negative cap.
    """
    if max_shell < 0:
        raise ValueError(f"Argument 'max_shell' must be >= 0, got {max_shell}.")
    return sum(leech.theta(m) for m in range(1, max_shell + 1))
