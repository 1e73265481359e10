"""index.py: the bijection, exhaustively on small shells and at random on large ones; bad codes and points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import index, leech, search, shells
from llvq_mini._index_tables import tables

GOLDEN = Path(__file__).parent / "golden" / "index.json"
FIRST = {m: shells.ball_size(m - 1) + 1 for m in range(2, search.MAX_SHELL + 1)}
"""First index of every shell: the origin is 0, so shell m begins after the ball of the smaller ones."""


def shell_uniform_codes(rng: np.random.Generator, per_shell: int, max_shell: int) -> np.ndarray:
    """per_shell random indices of every shell, with the first and the last one."""
    parts = []
    for m in range(2, max_shell + 1):
        low, high = FIRST[m], shells.ball_size(m)
        parts += [[low, high], rng.integers(low, high, per_shell, endpoint=True)]
    return np.concatenate(parts).astype(np.uint64)


def assert_round_trip(codes: np.ndarray, max_shell: int) -> None:
    """codes -> points -> codes; the points are lattice points of the shells that the order of shells demands."""
    v = index.decode(codes, max_shell)
    assert v.dtype == np.int8 and v.shape == (len(codes), 24)
    shell = leech.shell(v)  # raises outside the lattice
    ends = np.array([shells.ball_size(m) for m in range(max_shell + 1)], dtype=np.uint64)
    assert (shell == np.searchsorted(ends, codes)).all()
    back = index.encode(v, max_shell)
    assert back.dtype == np.uint64 and (back == codes).all()


def test_sizes_and_bits():
    assert index.size(12) == 111_043_117_458_001 and index.bits(12) == 47
    assert index.size(13) == 280_974_212_784_721 and index.bits(13) == 48
    assert index.bits(3) == 25 and index.bits(19) == 55 and index.bits(2) == 18
    assert index.size(0) == index.size(1) == 1
    assert isinstance(index.size(12), int)


def test_origin_is_zero():
    for max_shell in (0, 1, 2, 12, 13):
        assert not index.decode(np.zeros(1, dtype=np.uint64), max_shell).any()
        assert index.encode(np.zeros((1, 24), dtype=np.int8), max_shell).tolist() == [0]


def test_all_of_shell_2():
    codes = np.arange(index.size(2), dtype=np.uint64)
    assert_round_trip(codes, 2)
    assert (np.sort(index.encode(leech.minimal_vectors(), 2)) == codes[1:]).all()


@pytest.mark.slow
def test_all_of_shells_2_and_3(shell3):
    """16,969,680 points and the origin: decode and encode are inverse; shell 3 of an independent list is hit."""
    codes = np.arange(index.size(3), dtype=np.uint64)
    for part in np.array_split(codes, 16):
        assert_round_trip(part, 3)
    seen = np.zeros(index.size(3), dtype=bool)
    for part in np.array_split(shell3, 16):
        seen[index.encode(part, 3)] = True
    assert seen[FIRST[3] :].all() and not seen[: FIRST[3]].any()


@pytest.mark.parametrize("max_shell", [2, 3, 4, 5, 8, 12, 13, 19, search.MAX_SHELL])
def test_random_codes_of_every_shell(max_shell):
    assert_round_trip(shell_uniform_codes(np.random.default_rng(max_shell), 2000, max_shell), max_shell)


@pytest.mark.slow
@pytest.mark.parametrize("max_shell", [12, 13, 19, search.MAX_SHELL])
def test_a_million_random_codes(max_shell):
    rng = np.random.default_rng(max_shell)
    assert_round_trip(rng.integers(0, index.size(max_shell), 600_000, dtype=np.uint64), max_shell)
    assert_round_trip(shell_uniform_codes(rng, 450_000 // (max_shell - 1), max_shell), max_shell)


def assert_points_round_trip(v: np.ndarray, max_shell: int) -> None:
    codes = index.encode(v, max_shell)
    assert (codes < index.size(max_shell)).all()
    assert (index.decode(codes, max_shell) == v).all()


@pytest.mark.parametrize("max_shell", [4, 12, 13, 19])
def test_points_from_the_search(max_shell):
    x = np.random.default_rng(0).standard_normal((5000, 24))
    assert_points_round_trip(search.nearest_direction(x, max_shell), max_shell)
    assert_points_round_trip(search.nearest_in_ball(x, max_shell, 0.4), max_shell)


@pytest.mark.slow
@pytest.mark.parametrize("max_shell", [12, 13, 19])
def test_a_million_points_from_the_search(max_shell):
    x = np.random.default_rng(1).standard_normal((500_000, 24)).astype(np.float32)
    x[::2] **= 3  # other shapes than Gaussian blocks give
    assert_points_round_trip(search.nearest_direction(x, max_shell), max_shell)
    assert_points_round_trip(search.nearest_in_ball(x, max_shell, 0.34), max_shell)


def test_signs_of_a_vector_and_permutations_within_the_code_keep_it_encodable():
    """-v is in the lattice, and v with octads exchanged (Turyn's construction is symmetric in them)."""
    v = search.nearest_direction(np.random.default_rng(2).standard_normal((3000, 24)), 13)
    turned = np.concatenate([-v, np.roll(v, 8, axis=1), v[:, [*range(8, 16), *range(8), *range(16, 24)]]])
    assert_points_round_trip(turned, 13)


def test_index_does_not_depend_on_the_cap():
    v = search.nearest_direction(np.random.default_rng(3).standard_normal((2000, 24)), 8)
    codes = index.encode(v, 8)
    for max_shell in (9, 12, 13, 19, search.MAX_SHELL):
        assert (index.encode(v, max_shell) == codes).all()
        assert (index.decode(codes, max_shell) == v).all()


def test_classes_occur_as_often_as_they_are_large():
    """A uniform index is a uniform point: class frequencies over 200,000 indices of shell 4, chi-square."""
    codes = np.random.default_rng(4).integers(FIRST[4], FIRST[5], 200_000, dtype=np.uint64)
    shapes = np.sort(np.abs(index.decode(codes, 4)), axis=1)[:, ::-1]
    kinds, counts = np.unique(shapes, axis=0, return_counts=True)
    found = dict(zip(map(tuple, kinds.tolist()), counts.tolist(), strict=True))
    chi2 = 0.0
    for c in shells.classes(4):
        expected = 200_000 * c.cardinality / shells.size(4)
        chi2 += (found.get(tuple(sorted(c.values, reverse=True)), 0) - expected) ** 2 / expected
    assert chi2 < 30  # 7 degrees of freedom: one chance in 10,000


def test_golden_values():
    """Files written once must stay readable: these pairs never change."""
    golden = json.loads(GOLDEN.read_text())
    codes = np.array(golden["codes"], dtype=np.uint64)
    points = np.array(golden["points"], dtype=np.int8)
    assert len(codes) >= 100
    assert (index.decode(codes, 13) == points).all()
    assert (index.encode(points, 13) == codes).all()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_matter(threads):
    codes = np.random.default_rng(5).integers(0, index.size(12), 9000, dtype=np.uint64)
    v = index.decode(codes, 12, threads=1)
    assert (index.decode(codes, 12, threads=threads) == v).all()
    assert (index.encode(v, 12, threads=threads) == codes).all()


def test_tables_for_decoding_stay_small():
    t = tables(13)
    encoder_only = {"row_of", "word_kind", "word_position", "quad_rank"}
    assert sum(getattr(t, field).nbytes for field in t._fields if field not in encoder_only) < 100_000


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-7, 7), min_size=24, max_size=24), st.integers(0, 13))
def test_encode_accepts_exactly_the_ball(v, max_shell):
    v = np.array([v])
    for candidate in (v, 2 * v, 4 * (v % 2)):
        if leech.contains(candidate)[0] and (candidate**2).sum() <= 16 * max_shell:
            assert_points_round_trip(candidate, max_shell)
        else:
            with pytest.raises(ValueError, match="Argument 'v'.*row 0"):
                index.encode(candidate, max_shell)


def test_near_misses_raise():
    """Every change of a lattice point by ±1, ±2 or ±4 in one coordinate leaves the lattice."""
    v = search.nearest_direction(np.random.default_rng(6).standard_normal((5, 24)), 8).astype(np.int64)
    for row in v:
        for i in range(24):
            for step in (-4, -2, -1, 1, 2, 4):
                other = row.copy()
                other[i] += step
                with pytest.raises(ValueError, match="is not a Leech lattice vector"):
                    index.encode(other[None], 13)


def test_coordinates_of_both_parities_raise():
    """One more on eight coordinates: the word and the sum modulo 8 stay right, only the parities are mixed."""
    rng = np.random.default_rng(7)
    v = search.nearest_direction(rng.standard_normal((40, 24)), 6).astype(np.int64)
    v = np.concatenate([np.zeros((1, 24), dtype=np.int64), v[v[:, 0] % 2 == 0]])
    for row in v:
        other = row.copy()
        other[rng.choice(np.arange(1, 24), 8, replace=False)] += 1
        with pytest.raises(ValueError, match="is not a Leech lattice vector"):
            index.encode(other[None], 31)


@pytest.mark.parametrize("value", [65, 127, 1 << 20, 1 << 31, 1 << 33, 1 << 62, -(1 << 62), -(1 << 63)])
def test_far_points_raise(value):
    for scale in (1, 8):
        v = np.zeros((3, 24), dtype=np.int64)
        v[1] = value // 8 * scale
        with pytest.raises(ValueError, match="Argument 'v'.*row 1"):
            index.encode(v, 13)


def test_unsigned_numbers_do_not_wrap():
    v = np.zeros((1, 24), dtype=np.uint64)
    v[0, :2] = 4, 2**64 - 4
    with pytest.raises(ValueError, match="Argument 'v'"):
        index.encode(v, 13)


@pytest.mark.parametrize("max_shell", [0, 2, 12, 13, search.MAX_SHELL])
def test_codes_out_of_range_raise(max_shell):
    n = index.size(max_shell)
    assert index.decode(np.array([n - 1], dtype=np.uint64), max_shell).shape == (1, 24)
    for bad in (n, n + 1, 2**63, 2**64 - 1):
        with pytest.raises(ValueError, match="entry 1"):
            index.decode(np.array([0, bad], dtype=np.uint64), max_shell)
    with pytest.raises(ValueError, match="entry 0"):
        index.decode(np.array([-1]), max_shell)


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: index.decode(np.array([1.0])), TypeError),
        (lambda: index.decode(np.zeros((1, 1), dtype=np.uint64)), ValueError),
        (lambda: index.encode(np.zeros((1, 24))), TypeError),
        (lambda: index.encode(np.zeros((1, 23), dtype=int)), ValueError),
        (lambda: index.encode(np.zeros(24, dtype=int)), ValueError),
        (lambda: index.encode(np.zeros((1, 24), dtype=int), -1), ValueError),
        (lambda: index.encode(np.zeros((1, 24), dtype=int), search.MAX_SHELL + 1), ValueError),
        (lambda: index.size(2.0), ValueError),
        (lambda: index.size(-1), ValueError),
        (lambda: index.bits(search.MAX_SHELL + 1), ValueError),
        (lambda: index.decode(np.zeros(1, dtype=int), threads=0), ValueError),
    ],
)
def test_bad_input_raises(call, error):
    with pytest.raises(error, match="Argument"):
        call()


def test_empty_input_and_integer_types():
    assert index.encode(np.zeros((0, 24), dtype=np.int8)).shape == (0,)
    assert index.decode(np.zeros(0, dtype=np.uint64)).shape == (0, 24)
    v = index.decode(np.arange(100), 12)
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        assert (index.encode(v.astype(dtype)) == np.arange(100)).all()
    assert (index.encode(np.asfortranarray(v)) == np.arange(100)).all()
