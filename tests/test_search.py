"""search.py: exactness against the slow reference and brute force, the tie rule, threads, extreme input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import adversarial
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import leech, reference, search

CAP = 13


def reference_table(x: np.ndarray, max_shell: int) -> np.ndarray:
    """reference.best_per_shell on two threads (NumPy releases the lock)."""
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda part: reference.best_per_shell(part, max_shell), np.array_split(x, 2)))
    return np.concatenate(parts)


def unit_range(x: np.ndarray) -> np.ndarray:
    """Rows divided by powers of two, max |x_i| in [1/2, 1): exact, and cosines stay the same."""
    _, exponent = np.frexp(np.abs(x).max(axis=1, keepdims=True))
    return np.ldexp(x.astype(np.float64), -exponent)


def assert_best_direction(x: np.ndarray, table: np.ndarray, max_shell: int, min_shell: int = 2) -> None:
    """No block worse than the reference: cosines agree within rounding.  x, table as from unit_range."""
    v = search.nearest_direction(x, max_shell, min_shell)
    assert v.dtype == np.int8 and v.shape == x.shape
    shell = leech.shell(v)
    assert (shell >= min_shell).all() and (shell <= max_shell).all()
    score = (x * v).sum(axis=1) / np.sqrt(16.0 * shell)
    shells = np.arange(min_shell, max_shell + 1)
    best = (table[:, min_shell : max_shell + 1] / np.sqrt(16.0 * shells)).max(axis=1)
    assert (np.abs(score - best) <= 4e-15 * np.linalg.norm(x, axis=1)).all()


def assert_best_in_ball(x: np.ndarray, table: np.ndarray, max_shell: int, scale: float) -> None:
    """The same for |x - scale v|^2, compared as 2 <y, v> - |v|^2 with y = x / scale; the origin counts 0."""
    v = search.nearest_in_ball(x, max_shell, scale)
    assert v.dtype == np.int8 and v.shape == x.shape
    shell = leech.shell(v)
    assert (shell <= max_shell).all()
    y = x / scale
    score = 2 * (y * v).sum(axis=1) - 16.0 * shell
    shells = np.arange(2, max_shell + 1)
    best = np.maximum(0, (2 * table[:, 2 : max_shell + 1] / scale - 16.0 * shells).max(axis=1))
    assert (np.abs(score - best) <= 1e-14 * (np.linalg.norm(y, axis=1) + 15) * 15).all()


@pytest.fixture(scope="module")
def gaussian() -> tuple[np.ndarray, np.ndarray]:
    x = unit_range(np.random.default_rng(0).standard_normal((160, 24)))
    return x, reference_table(x, CAP)


@pytest.fixture(scope="module")
def hard() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """4 blocks of every adversarial kind with the reference's best dot products up to shell CAP."""
    kinds = adversarial.blocks(np.random.default_rng(1), 4)
    return {name: (x, reference_table(unit_range(x), CAP)) for name, x in kinds.items()}


KINDS = list(adversarial.blocks(np.random.default_rng(0), 1))


@pytest.mark.parametrize("max_shell", range(2, CAP + 1))
def test_direction_on_gaussian_blocks(gaussian, max_shell):
    assert_best_direction(*gaussian, max_shell)


@pytest.mark.parametrize("min_shell, max_shell", [(3, 3), (4, 4), (5, 12), (9, 10), (12, 12)])
def test_direction_on_some_shells_only(gaussian, hard, min_shell, max_shell):
    assert_best_direction(*gaussian, max_shell, min_shell)
    for x, table in hard.values():
        assert_best_direction(unit_range(x), table, max_shell, min_shell)


@pytest.mark.parametrize("scale", [0.03, 0.1, 0.13, 0.2])
@pytest.mark.parametrize("max_shell", [2, 5, 12, CAP])
def test_ball_on_gaussian_blocks(gaussian, max_shell, scale):
    assert_best_in_ball(*gaussian, max_shell, scale)


@pytest.mark.parametrize("kind", KINDS)
def test_hard_blocks(hard, kind):
    x, table = hard[kind]
    scaled = unit_range(x)
    for max_shell in range(2, CAP + 1):
        assert_best_direction(scaled, table, max_shell)
        for scale in (0.02, 0.0625, 0.11, 0.5):
            assert_best_in_ball(scaled, table, max_shell, scale)
    assert (search.nearest_direction(x, 12) == search.nearest_direction(scaled, 12)).all()


@pytest.mark.slow
def test_5000_gaussian_blocks():
    for dtype in (np.float64, np.float32):
        x = np.random.default_rng(2).standard_normal((2600, 24)).astype(dtype)
        table = reference_table(unit_range(x), CAP)
        for max_shell in (12, 13, 8, 5, 3):
            assert_best_direction(unit_range(x), table, max_shell)
            assert_best_in_ball(unit_range(x), table, max_shell, 0.13)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_2000_adversarial_blocks(dtype):
    """54 blocks of each of 22 kinds; float32 loses those beyond its range."""
    kinds = adversarial.blocks(np.random.default_rng(3), 54)
    with np.errstate(over="ignore"):
        x = np.concatenate(list(kinds.values())).astype(dtype)
    x = x[np.isfinite(x).all(axis=1) & x.any(axis=1)]
    assert len(x) >= 1000
    scaled = unit_range(x)
    table = reference_table(scaled, CAP)
    for max_shell in (2, 3, 5, 8, 12, 13):
        assert_best_direction(scaled, table, max_shell)
        for scale in (0.05, 0.13, 0.3):
            assert_best_in_ball(scaled, table, max_shell, scale)
    assert (search.nearest_direction(x, 12) == search.nearest_direction(scaled, 12)).all()


@pytest.mark.slow
@pytest.mark.parametrize("max_shell", [16, 19])
def test_larger_balls(max_shell):
    x = np.random.default_rng(4).standard_normal((60, 24))
    x[30:] = np.concatenate(list(adversarial.blocks(np.random.default_rng(5), 2).values()))[:30]
    scaled = unit_range(x)
    table = reference_table(scaled, max_shell)
    assert_best_direction(scaled, table, max_shell)
    assert_best_in_ball(scaled, table, max_shell, 0.09)


# The tie rule, exactly: brute force with the documented float64 formula.


def ordered_dots(x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """sum_i x_i v_i in the order of the coordinates, blocks (n, 24), vectors (N, 24): float64 (n, N)."""
    total = np.zeros((len(x), len(vectors)))
    for i in range(24):
        total += x[:, i, None] * vectors[:, i].astype(np.float64)
    return total


def first_best(score: np.ndarray, vectors: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """The vector with the largest score; ties to the smaller norm, then the lexicographically largest."""
    out = np.zeros((len(score), 24), dtype=np.int8)
    for row, s in zip(out, score, strict=True):
        tied = np.flatnonzero(s == s.max())
        tied = tied[norms[tied] == norms[tied].min()]
        row[:] = max(vectors[tied].tolist())
    return out


def tie_prone(rng: np.random.Generator, n: int) -> np.ndarray:
    signs = rng.integers(-1, 2, (4 * n, 24)).astype(float)
    return np.concatenate([*adversarial.blocks(rng, n).values(), signs])


def test_tie_rule_of_directions_on_shell_2():
    vectors = leech.minimal_vectors()
    x = unit_range(tie_prone(np.random.default_rng(6), 6))
    norms = np.full(len(vectors), 32.0)
    for part in np.array_split(x, 10):
        score = ordered_dots(part, vectors) / np.sqrt(norms)
        assert (search.nearest_direction(part, 2) == first_best(score, vectors, norms)).all()


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.0])
def test_tie_rule_of_the_ball_up_to_shell_2(scale):
    """Halves of lattice points lie between points of different norms, the origin included."""
    vectors = np.concatenate([np.zeros((1, 24), dtype=np.int8), leech.minimal_vectors()])
    norms = (vectors.astype(float) ** 2).sum(axis=1)
    x = tie_prone(np.random.default_rng(7), 3)
    for part in np.array_split(x, 6):
        score = 2 * ordered_dots(part / scale, vectors) - norms
        assert (search.nearest_in_ball(part, 2, scale) == first_best(score, vectors, norms)).all()


@pytest.mark.slow
def test_tie_rule_up_to_shell_3(shell3):
    x = tie_prone(np.random.default_rng(8), 1)
    direction = [(-np.inf, 0.0, [0] * 24)] * len(x)  # score, -|v|^2, vector, compared in this order
    ball = [(0.0, 0.0, [0] * 24)] * len(x)  # the origin
    parts = [shell3[start : start + (1 << 18)] for start in range(0, len(shell3), 1 << 18)]
    for vectors, norm in [(leech.minimal_vectors(), 32.0), *((part, 48.0) for part in parts)]:
        for n, row in enumerate(ordered_dots(x, vectors)):
            top = row.max()
            point = max(vectors[np.flatnonzero(row == top)].tolist())
            direction[n] = max(direction[n], (top / np.sqrt(norm), -norm, point))
            ball[n] = max(ball[n], (2 * top - norm, -norm, point))
    assert (search.nearest_direction(unit_range(x), 3) == [v for *_, v in direction]).all()
    assert (search.nearest_in_ball(x, 3) == [v for *_, v in ball]).all()


def test_zero_blocks():
    x = np.zeros((3, 24))
    x[1, 5] = -0.0
    assert (search.nearest_direction(x, 12) == [4, 4] + [0] * 22).all()
    assert (search.nearest_direction(x, 12, 3) == [5] + [1] * 23).all()
    assert (search.nearest_direction(x, 12, 4) == [8] + [0] * 23).all()
    assert not search.nearest_in_ball(x, 13).any()
    assert not search.nearest_point(x).any()


def test_ball_without_shells_is_the_origin():
    x = 100 * np.random.default_rng(9).standard_normal((10, 24))
    assert not search.nearest_in_ball(x, 0).any() and not search.nearest_in_ball(x, 1).any()


@pytest.mark.parametrize("exponent", [-1074 + 60, -600, -126, -1, 1, 100, 600, 1000])
def test_powers_of_two_do_not_change_the_direction(exponent):
    x = np.random.default_rng(10).standard_normal((200, 24)).astype(np.float32).astype(np.float64)
    assert (search.nearest_direction(np.ldexp(x, exponent), 12) == search.nearest_direction(x, 12)).all()


@pytest.mark.parametrize("exponent", [-900, -30, 30, 900])
def test_block_and_scale_together_do_not_change_the_ball_point(exponent):
    x = 3 * np.random.default_rng(11).standard_normal((200, 24))
    same = search.nearest_in_ball(np.ldexp(x, exponent), 13, float(np.ldexp(1.3, exponent)))
    assert (same == search.nearest_in_ball(x, 13, 1.3)).all()


def test_largest_and_smallest_floats():
    for dtype in (np.float32, np.float64):
        info = np.finfo(dtype)
        for value in (info.max, info.tiny, info.smallest_subnormal):
            x = np.full((2, 24), value, dtype=dtype)
            x[1, 1:] = 0
            small = np.ones((2, 24))
            small[1, 1:] = 0
            assert (search.nearest_direction(x, 13) == search.nearest_direction(small, 13)).all()
            ball = search.nearest_in_ball(x, 13)
            assert leech.contains(ball).all()
            assert ball.any() == (value == info.max)


def test_a_distant_block_goes_to_the_vector_with_the_largest_dot_product():
    """Far outside, |v|^2 no longer matters: 2 <x, v> decides."""
    x = np.random.default_rng(12).standard_normal((40, 24))
    v = search.nearest_in_ball(x * 1e200, 6)
    best = reference.best_per_shell(x, 6).max(axis=1)
    assert np.allclose((x * v).sum(axis=1), best, rtol=1e-13)


# The whole lattice.


def assert_nearest(x: np.ndarray) -> None:
    v = search.nearest_point(x)
    assert v.dtype == np.int64 and leech.contains(v).all()
    distance = ((x - v) ** 2).sum(axis=1)
    assert np.allclose(distance, ((x - reference.nearest_point(x)) ** 2).sum(axis=1), rtol=1e-12, atol=1e-12)
    assert (distance <= 16 + 1e-9).all()  # the covering radius is 4


@pytest.mark.parametrize("spread", [0.5, 2, 5, 40, 1e4])
def test_nearest_point_on_gaussian_blocks(spread):
    assert_nearest(spread * np.random.default_rng(13).standard_normal((300, 24)))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("huge", "extreme")])
def test_nearest_point_on_hard_blocks(kind):
    x = adversarial.blocks(np.random.default_rng(14), 20)[kind]
    assert_nearest(x)
    assert_nearest(4 * x)


def test_holes_are_as_far_as_their_radius():
    radius = np.linalg.norm(adversarial.HOLES, axis=1)
    for sign in (1, -1):
        x = sign * adversarial.HOLES
        assert np.allclose(np.linalg.norm(x - search.nearest_point(x), axis=1), radius, rtol=1e-12)
    assert (radius > 4 - 1e-9).sum() >= 8 and radius.max() < 4 + 1e-9


def test_lattice_points_are_their_own_nearest_points(leech_basis):
    rng = np.random.default_rng(15)
    v = rng.integers(-4, 5, (2000, 24)) @ leech_basis
    assert (search.nearest_point(v.astype(float)) == v).all()
    noise = rng.standard_normal(v.shape)
    noise *= 0.999 * 8**0.5 / np.linalg.norm(noise, axis=1, keepdims=True)
    assert (search.nearest_point(v + noise) == v).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_nearest_point_moves_with_the_lattice(leech_basis, seed, magnitude):
    """Translating by a lattice vector (exactly: dyadic blocks) keeps the distance; by 8 Z^24 the choice."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-40, 41, (4, 24)) / 8.0
    shift = rng.integers(-(2**magnitude), 2**magnitude + 1, (4, 24))
    v = search.nearest_point(x)
    p = np.minimum(np.abs(shift), 3) * np.sign(shift) @ leech_basis
    moved = search.nearest_point(x + p)
    assert (((x + p - moved) ** 2).sum(axis=1) == ((x - v) ** 2).sum(axis=1)).all()
    assert (search.nearest_point(x + 8 * shift) == v + 8 * shift).all()


def test_nearest_point_and_ball_agree_inside_the_ball():
    x = 1.5 * np.random.default_rng(16).standard_normal((3000, 24))
    v = search.nearest_point(x)
    inside = leech.shell(v) <= 6
    assert 0.2 < inside.mean() < 1
    assert (search.nearest_in_ball(x[inside], 6) == v[inside]).all()


# Interface.


@pytest.mark.parametrize("threads", [1, 2, 3, 7, None])
def test_result_does_not_depend_on_threads_or_batch(threads):
    x = np.random.default_rng(17).standard_normal((7000, 24)).astype(np.float32)
    x[100:110] = np.rint(x[100:110])
    functions = (search.nearest_direction, search.nearest_in_ball, search.nearest_point)
    for function in functions:
        whole = function(3 * x, threads=1)
        assert (function(3 * x, threads=threads) == whole).all()
        assert (function(3 * x[105:106], threads=threads) == whole[105]).all()


def test_memory_layout_and_input_are_respected():
    x = np.random.default_rng(18).standard_normal((50, 24))
    keep = x.copy()
    expected = search.nearest_direction(x)
    assert (search.nearest_direction(np.asfortranarray(x)) == expected).all()
    assert (search.nearest_direction(np.repeat(x, 2, axis=0)[::2]) == expected).all()
    assert (search.nearest_direction(np.repeat(x, 2, axis=1)[:, ::2]) == expected).all()
    x.flags.writeable = False
    assert (search.nearest_direction(x) == expected).all() and (x == keep).all()


def test_float32_is_searched_as_the_float64_it_is():
    x = np.random.default_rng(19).standard_normal((500, 24)).astype(np.float32)
    y = x.astype(np.float64)
    assert (search.nearest_direction(x) == search.nearest_direction(y)).all()
    assert (search.nearest_in_ball(x, 13, 0.347) == search.nearest_in_ball(y, 13, 0.347)).all()
    assert (search.nearest_point(x) == search.nearest_point(y)).all()


@pytest.mark.parametrize("function", [search.nearest_direction, search.nearest_in_ball, search.nearest_point])
def test_empty_input(function):
    assert function(np.zeros((0, 24))).shape == (0, 24)


@pytest.mark.parametrize("function", [search.nearest_direction, search.nearest_in_ball, search.nearest_point])
def test_bad_blocks_raise(function):
    for bad in (np.nan, np.inf, -np.inf):
        x = np.zeros((3, 24))
        x[1, 7] = bad
        with pytest.raises(ValueError, match="Argument 'x'.*block 1"):
            function(x)
    for shape in ((24,), (2, 23), (2, 25), (1, 2, 24), ()):
        with pytest.raises(ValueError, match="Argument 'x'"):
            function(np.zeros(shape))
    for dtype in (np.int64, np.complex128, np.float16, object):
        with pytest.raises((TypeError, ValueError), match="Argument 'x'"):
            function(np.zeros((1, 24), dtype=dtype))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: search.nearest_direction(x, 1),
        lambda x: search.nearest_direction(x, search.MAX_SHELL + 1),
        lambda x: search.nearest_direction(x, 12, 1),
        lambda x: search.nearest_direction(x, 12, 13),
        lambda x: search.nearest_direction(x, 12, 2.0),
        lambda x: search.nearest_direction(x, 2.5),
        lambda x: search.nearest_direction(x, True),
        lambda x: search.nearest_direction(x, threads=0),
        lambda x: search.nearest_in_ball(x, -1),
        lambda x: search.nearest_in_ball(x, 13, 0.0),
        lambda x: search.nearest_in_ball(x, 13, -1.0),
        lambda x: search.nearest_in_ball(x, 13, np.nan),
        lambda x: search.nearest_in_ball(x, 13, np.inf),
        lambda x: search.nearest_point(x + 2.0**50),
    ],
)
def test_bad_options_raise(call):
    with pytest.raises((ValueError, TypeError), match="Argument"):
        call(np.zeros((1, 24)))
