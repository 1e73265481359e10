"""reference.py: the slow search against brute force over all vectors of the first shells."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini import leech, reference


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    rng = np.random.default_rng(0)
    gaussian, other = rng.standard_normal((2, 40, 24))
    sparse = other * (rng.random((40, 24)) < 0.1)
    return np.concatenate([gaussian, sparse, rng.integers(-2, 3, (40, 24)), rng.standard_cauchy((40, 24))])


def test_shell_2_against_all_minimal_vectors(blocks):
    brute = (leech.minimal_vectors().astype(float) @ blocks.T).max(axis=0)
    assert np.allclose(reference.best_per_shell(blocks, 2)[:, 2], brute, rtol=1e-13, atol=1e-13)


@pytest.mark.slow
def test_shell_3_against_all_vectors(blocks, shell3):
    blocks = blocks[::5]
    brute = np.full(len(blocks), -np.inf)
    for start in range(0, len(shell3), 1 << 19):
        part = shell3[start : start + (1 << 19)].astype(float)
        brute = np.maximum(brute, (part @ blocks.T).max(axis=0))
    assert np.allclose(reference.best_per_shell(blocks, 3)[:, 3], brute, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("max_shell", [2, 3, 4, 7, 12])
def test_direction_is_a_lattice_point_that_reaches_the_best_score(blocks, max_shell):
    some = blocks[np.any(blocks, axis=1)][::5]
    v = reference.nearest_direction(some, max_shell)
    shell = leech.shell(v)
    assert v.dtype == np.int8 and (shell >= 2).all() and (shell <= max_shell).all()
    m = np.arange(2, max_shell + 1)
    best = (reference.best_per_shell(some, max_shell)[:, 2:] / np.sqrt(16 * m)).max(axis=1)
    assert np.allclose((some * v).sum(axis=1) / np.sqrt(16 * shell), best, rtol=1e-13)


@pytest.mark.parametrize("scale", [0.05, 0.347, 1.0, 30.0])
def test_ball_point_is_in_the_ball_and_reaches_the_best_distance(blocks, scale):
    some = blocks[::5]
    v = reference.nearest_in_ball(some, 6, scale)
    assert leech.contains(v).all() and (leech.shell(v) <= 6).all()
    best = reference.best_per_shell(some, 6)
    distances = (some**2).sum(axis=1)[:, None] - 2 * scale * best + 16 * np.arange(7) * scale**2
    nearest = np.minimum(distances.min(axis=1), (some**2).sum(axis=1))  # the origin
    assert np.allclose(((some - scale * v) ** 2).sum(axis=1), nearest, rtol=1e-12)


def test_shells_agree_with_a_walk_over_lattice_neighbors():
    """Shells 2 to 9: no vector one minimal vector away from the winner does better on its own shell."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 24))
    best = reference.best_per_shell(x, 9)
    steps = leech.minimal_vectors().astype(int)
    for row, top in zip(x, best, strict=True):
        near = steps + reference.nearest_direction(row[None], 9)[0]
        shell, dot = (near**2).sum(axis=1) // 16, near @ row
        for m in range(2, 10):
            assert (dot[shell == m] <= top[m] + 1e-12).all()


def test_nearest_point_recovers_lattice_points_within_the_packing_radius(leech_basis):
    """Radius sqrt(8): a point moved by less than that must come back."""
    rng = np.random.default_rng(2)
    p = rng.integers(-3, 4, (100, 24)) @ leech_basis
    noise = rng.standard_normal((100, 24))
    noise *= 0.999 * np.sqrt(8) / np.linalg.norm(noise, axis=1, keepdims=True)
    assert (reference.nearest_point(p + noise) == p).all()


def test_nearest_point_is_optimal_among_the_voronoi_neighbors():
    """x is nearest to p iff no v of shells 2 and 3, which bound the Voronoi cell, is nearer to x - p."""
    x = np.random.default_rng(3).uniform(-30, 30, (12, 24))
    rest = x - reference.nearest_point(x)
    best = reference.best_per_shell(rest, 3)
    assert (2 * best[:, 2] <= 32 + 1e-9).all() and (2 * best[:, 3] <= 48 + 1e-9).all()


def test_zero_and_empty_input():
    zero = np.zeros((1, 24))
    assert reference.nearest_direction(zero, 5)[0].tolist() == [4, 4] + [0] * 22
    assert not reference.nearest_in_ball(zero, 5).any() and not reference.nearest_point(zero).any()
    empty = np.zeros((0, 24))
    assert reference.best_per_shell(empty, 4).shape == (0, 5)
    assert reference.nearest_direction(empty, 4).shape == (0, 24)


@pytest.mark.parametrize("factor", [1e300, 1e-300, 2.0**-1040])
def test_scale_does_not_matter(factor):
    x = np.random.default_rng(4).standard_normal((5, 24))
    assert (reference.nearest_direction(x * factor, 4) == reference.nearest_direction(x, 4)).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: reference.nearest_direction(x[:, :23], 4),
        lambda x: reference.nearest_direction(x, 1),
        lambda x: reference.nearest_direction(x * np.nan, 4),
        lambda x: reference.best_per_shell(x + np.inf, 4),
        lambda x: reference.nearest_in_ball(x, 4, 0.0),
        lambda x: reference.nearest_in_ball(x, 4, np.nan),
        lambda x: reference.nearest_in_ball(1e300 * x, 4, 1e-30),
        lambda x: reference.nearest_point(x * 2.0**50),
    ],
)
def test_bad_input_raises(call):
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="Argument"):
        call(np.ones((2, 24)))
