"""rotate.py against matrices built from the definitions, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import hadamard

from llvq_mini.rotate import Rotation, hartley_matrix, random_signs, splitmix64

WIDTHS = [1, 2, 3, 7, 24, 43, 48, 64, 96, 101, 576, 640, 1536]
LARGE = [2560, 4096, 11008, 14336]


def dense(rotation: Rotation) -> np.ndarray:
    """R from the textbook: Sylvester's matrix by scipy, the Hartley matrix entry by entry,
    signs on the right.
    """
    power, odd = 1, rotation.width
    while odd % 2 == 0:
        power, odd = power * 2, odd // 2
    angle = 2 * np.pi * np.arange(odd)[:, None] * np.arange(odd) / odd
    cas = (np.cos(angle) + np.sin(angle)) / np.sqrt(odd)
    signs = random_signs(rotation.width, rotation.seed).astype(np.float64)
    return np.kron(hadamard(power) / np.sqrt(power), cas) * signs


def test_splitmix64_published_outputs():
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(1234567, 5).tolist() == expected


def test_signs_are_fixed_by_the_seed_and_balanced():
    signs = random_signs(100_000, 7)
    assert np.array_equal(signs[:64], random_signs(64, 7))
    assert not np.array_equal(signs[:64], random_signs(64, 8))
    assert set(signs.tolist()) == {-1.0, 1.0} and abs(signs.mean()) < 0.02


@pytest.mark.parametrize("order", [1, 3, 9, 43, 129])
def test_hartley_matrix_is_an_orthogonal_involution(order):
    matrix = hartley_matrix(order)
    assert np.array_equal(matrix, matrix.T)
    assert np.allclose(matrix @ matrix, np.eye(order), atol=1e-12)


@pytest.mark.parametrize("width", WIDTHS)
def test_apply_is_the_dense_matrix_and_orthogonal(width):
    rotation = Rotation(width, seed=3)
    matrix = dense(rotation)
    assert np.allclose(matrix @ matrix.T, np.eye(width), atol=1e-10)
    x = np.random.default_rng(width).standard_normal((5, width))
    assert np.allclose(rotation.apply(x), x @ matrix.T, atol=1e-10)
    assert np.allclose(rotation.inverse(x), x @ matrix, atol=1e-10)


@pytest.mark.parametrize("width", WIDTHS + LARGE)
def test_inverse_and_norm(width):
    rotation = Rotation(width, seed=11)
    x = np.random.default_rng(1).standard_normal((3, width))
    y = rotation.apply(x)
    assert np.allclose(rotation.inverse(y), x, atol=1e-11)
    assert np.allclose(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1), rtol=1e-12)


@pytest.mark.parametrize("width", [576, 4096, 11008])
def test_float32_follows_float64(width):
    rotation = Rotation(width, seed=2)
    x = np.random.default_rng(2).standard_normal((4, width)).astype(np.float32)
    y = rotation.apply(x)
    assert y.dtype == np.float32
    assert np.abs(y - rotation.apply(x.astype(np.float64))).max() < 2e-5


@pytest.mark.parametrize("width", [576, 640, 1536, 4096, 14336])
def test_a_spike_is_spread_evenly(width):
    """No entry of R exceeds sqrt(2 / n), so one outlier of any size ends up everywhere and nowhere."""
    rotation = Rotation(width, seed=4)
    spike = np.zeros((3, width))
    spike[np.arange(3), [0, width // 3, width - 1]] = 1000.0
    assert np.abs(rotation.apply(spike)).max() <= 1000 * np.sqrt(2 / width) * (1 + 1e-9)


def test_heavy_tails_become_gaussian():
    rows = np.random.default_rng(0).standard_t(2.5, (64, 1536))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) / np.sqrt(1536)
    rotated = Rotation(1536, seed=0).apply(rows)
    assert np.mean(rows**4) > 6
    assert abs(np.mean(rotated**4) - 3) < 0.3


def test_conjugate_keeps_the_output_energy():
    rng = np.random.default_rng(9)
    factor = rng.standard_normal((96, 96))
    hessian, weight = factor @ factor.T, rng.standard_normal((4, 96))
    rotation = Rotation(96, seed=5)
    rotated = rotation.apply(weight)
    assert np.allclose(rotated @ rotation.conjugate(hessian) @ rotated.T, weight @ hessian @ weight.T)


def test_many_rows_equal_one_row_and_the_argument_stays():
    x = np.random.default_rng(3).standard_normal((700, 576))
    kept = x.copy()
    rotation = Rotation(576, seed=1)
    assert np.array_equal(rotation.apply(x)[650], rotation.apply(x[640:])[10])
    assert np.array_equal(x, kept)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="last axis 48"):
        Rotation(48, 0).apply(np.zeros((2, 47)))
    with pytest.raises(TypeError, match="float32 or float64"):
        Rotation(48, 0).apply(np.zeros((2, 48), dtype=np.int64))
    with pytest.raises(ValueError, match="'width'"):
        Rotation(0, 0)
    with pytest.raises(ValueError, match="'seed'"):
        Rotation(8, -1)
    with pytest.raises(ValueError, match="'matrix'"):
        Rotation(8, 1).conjugate(np.zeros((8, 7)))
