"""shells.py: classes and counts against published tables, brute force and a second theta series."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2

import numpy as np
import pytest

from llvq_mini import golay, leech, shells

# shell: points, points up to it, bits for them, even and odd classes (points: Conway and Sloane, Table 4.14).
TABLE = {
    2: (196_560, 196_560, 18, 2, 1),
    3: (16_773_120, 16_969_680, 25, 2, 2),
    4: (398_034_000, 415_003_680, 29, 6, 2),
    5: (4_629_381_120, 5_044_384_800, 33, 5, 4),
    6: (34_417_656_000, 39_462_040_800, 36, 11, 6),
    7: (187_489_935_360, 226_951_976_160, 38, 10, 7),
    8: (814_879_774_800, 1_041_831_750_960, 40, 19, 11),
    9: (2_975_551_488_000, 4_017_383_238_960, 42, 18, 15),
    10: (9_486_551_299_680, 13_503_934_538_640, 44, 30, 17),
    11: (27_052_945_920_000, 40_556_880_458_640, 46, 30, 24),
    12: (70_486_236_999_360, 111_043_117_458_000, 47, 47, 32),
    13: (169_931_095_326_720, 280_974_212_784_720, 48, 46, 36),
}


@pytest.mark.parametrize("m", TABLE)
def test_published_table(m):
    points, ball, bits, even, odd = TABLE[m]
    cosets = Counter(leader.coset for leader in shells.classes(m))
    assert (shells.size(m), shells.ball_size(m), cosets[0], cosets[1]) == (points, ball, even, odd)
    assert ceil(log2(shells.ball_size(m))) == bits


def test_numbers_of_classes():
    counts = np.cumsum([0, 0] + [len(shells.classes(m)) for m in range(2, 20)])
    assert counts[12] == 301 and counts[13] == 383
    assert counts[14:].tolist() == [498, 626, 788, 972, 1209, 1457]
    assert shells.ball_size(19) == 23_546_209_100_646_960


def test_first_classes_by_name():
    def named(m):
        return {tuple(v for v in c.values if v): c.cardinality for c in shells.classes(m)}

    assert named(2) == {(4, 4): 1104, (2,) * 8: 97_152, (3, *(1,) * 23): 98_304}
    assert named(3) == {
        (*(2,) * 8, 4): 3_108_864,
        (2,) * 12: 5_275_648,
        (5, *(1,) * 23): 98_304,
        (3, 3, 3, *(1,) * 21): 8_290_304,
    }
    assert named(4) == {
        (8,): 48,
        (4,) * 4: 170_016,
        (6, *(2,) * 7): 777_216,
        (2,) * 16: 24_870_912,
        (*(2,) * 8, 4, 4): 46_632_960,
        (*(2,) * 12, 4): 126_615_552,
        (5, 3, 3, *(1,) * 21): 24_870_912,
        (*(3,) * 5, *(1,) * 19): 174_096_384,
    }


def test_empty_shells():
    assert shells.classes(1) == () and shells.size(1) == 0
    assert shells.size(0) == 1 and shells.ball_size(0) == 0 and shells.ball_size(1) == 0


@pytest.mark.parametrize("m", range(2, 14))
def test_leaders_are_well_formed(m):
    leaders = shells.classes(m)
    assert len({(c.values, c.coset, c.weight) for c in leaders}) == len(leaders)
    for values, coset, weight, cardinality in leaders:
        assert len(values) == 24 and sum(v * v for v in values) == 16 * m and cardinality > 0
        if coset:
            assert weight == -1 and all(v % 2 for v in values)
            assert list(values) == sorted(values, reverse=True)
        else:
            word, free = values[:weight], values[weight:]
            assert all(v % 4 == 2 for v in word) and all(v % 4 == 0 for v in free)
            assert list(word) == sorted(word, reverse=True) and list(free) == sorted(free, reverse=True)


@pytest.mark.parametrize("m", range(2, 14))
def test_every_class_has_a_member_in_the_lattice(m):
    """A vector built from each leader: on an actual word, with signs repaired, it lies in the lattice."""
    for values, coset, weight, _ in shells.classes(m):
        v = np.zeros(24, dtype=int)
        if coset:
            v[:] = [a if a % 4 == 1 else -a for a in values]
        else:
            bits = golay.to_bits(golay.of_weight(weight)[-1]).astype(bool)
            v[bits], v[~bits] = values[:weight], values[weight:]
            if v.sum() % 8:
                assert weight, "a class without word values cannot be repaired by a sign"
                v[np.flatnonzero(bits)[0]] *= -1
        assert leech.contains(v[None])[0]
        assert leech.shell(v[None])[0] == m


def test_cardinalities_of_shell_2_by_counting():
    counted = Counter(map(tuple, np.sort(np.abs(leech.minimal_vectors()))[:, ::-1].tolist()))
    assert counted == {c.values if c.coset else tuple(sorted(c.values, reverse=True)): c.cardinality
                       for c in shells.classes(2)}  # fmt: skip


@pytest.mark.slow
def test_cardinalities_of_shell_3_by_counting(shell3):
    """Shell 3 has one class for each number of zeros, ones and threes."""
    def key(v):
        v = np.abs(v)
        return (v == 0).sum(axis=1) * 100 + (v == 3).sum(axis=1) * 10 + (v == 5).sum(axis=1)

    keys = np.concatenate([key(shell3[s : s + (1 << 20)]) for s in range(0, len(shell3), 1 << 20)])
    counted = dict(zip(*(a.tolist() for a in np.unique(keys, return_counts=True)), strict=True))
    assert counted == {int(key(np.array([c.values]))[0]): c.cardinality for c in shells.classes(3)}


def theta_by_weight_enumerator(limit: int) -> list[int]:
    """Points on shells 0 ... limit, without classes: a product of one-dimensional theta series.

    A coset (e, c) of the lattice is {4k + 2c + e : sum k = e (mod 2)}.  With f_b = sum_k q^((4k + 2b + e)^2)
    and g_b the same with signs (-1)^k, it has (f_0^(24-w) f_1^w + (-1)^e g_0^(24-w) g_1^w) / 2, w the weight
    of c.
    """
    top = 16 * limit

    def multiply(a, b):
        out = [0] * (top + 1)
        for i, x in enumerate(a):
            if x:
                for j, y in enumerate(b[: top + 1 - i]):
                    out[i + j] += x * y
        return out

    def power(a, n):
        out = [1] + [0] * top
        for _ in range(n):
            out = multiply(out, a)
        return out

    total = [0] * (top + 1)
    for e in (0, 1):
        series = {}
        for b in (0, 1):
            for sign in (1, -1):
                line = [0] * (top + 1)
                for k in range(-top, top + 1):
                    norm = (4 * k + 2 * b + e) ** 2
                    if norm <= top:
                        line[norm] += sign if k % 2 else 1
                series[b, sign] = line
        for w, words in shells.WORD_COUNT.items():
            plain = multiply(power(series[0, 1], 24 - w), power(series[1, 1], w))
            signed = multiply(power(series[0, -1], 24 - w), power(series[1, -1], w))
            for n in range(top + 1):
                total[n] += words * (plain[n] + (-1) ** e * signed[n]) // 2
    assert all(n % 16 == 0 for n, count in enumerate(total) if count)
    return total[::16]


def test_sizes_against_the_weight_enumerator():
    assert theta_by_weight_enumerator(13) == [1] + [shells.size(m) for m in range(1, 14)]


@pytest.mark.slow
def test_sizes_against_the_weight_enumerator_up_to_shell_33():
    counts = theta_by_weight_enumerator(33)
    assert counts[:20] == [1] + [shells.size(m) for m in range(1, 20)]
    assert counts == [leech.theta(m) for m in range(34)]


@pytest.mark.parametrize("function", [shells.classes, shells.size, shells.ball_size])
def test_bad_input_raises(function):
    with pytest.raises(ValueError, match="Argument"):
        function(-1)
