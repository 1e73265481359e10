"""Week 1, public tests."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pytest
from conftest import points
from data import wave


@points("1.1", 1)
@pytest.mark.parametrize(("levels", "mse"), [(2, 0.363380), (4, 0.117482)])
def test_known_errors(adapters, levels, mse):
    """Max (1960) printed these."""
    centers, error = adapters.run_lloyd_max(levels)
    assert np.shape(centers) == (levels,), "there is one level for each cell"
    assert error == pytest.approx(mse, abs=2e-5), f"mean squared error with {levels} levels"
    assert np.all(np.diff(centers) > 0), "levels ascend"


@points("1.2", 2)
def test_words(adapters):
    """4096 different words of the five weights, closed under addition."""
    words = np.asarray(adapters.run_golay_words())
    assert words.shape == (4096,) and words.dtype == np.uint32, "uint32[4096]"
    assert len(np.unique(words)) == 4096, "all words are different"
    weights, counts = np.unique(np.bitwise_count(words), return_counts=True)
    assert dict(zip(weights.tolist(), counts.tolist(), strict=True)) == {
        0: 1,
        8: 759,
        12: 2576,
        16: 759,
        24: 1,
    }
    assert np.isin(words[:64, None] ^ words[None, ::61], words).all(), "the sum of two words is a word"


@points("1.2", 1)
def test_words_of_the_book(adapters):
    """The same coordinates as in the book, so that later problems have one answer."""
    words = np.sort(np.asarray(adapters.run_golay_words()).astype("<u4"))
    digest = hashlib.sha256(words.tobytes()).hexdigest()[:16]
    assert digest == "160dc408772f013b", (
        "not the book's version: check the field (x^3 + x + 1), h, g and the octads"
    )


@points("1.2", 1)
def test_encode_and_back(adapters):
    """Every message has a word of its own and comes back."""
    messages = np.arange(4096)
    words = np.asarray(adapters.run_golay_encode(messages))
    assert np.array_equal(np.sort(words), np.sort(adapters.run_golay_words()))
    assert np.array_equal(adapters.run_golay_message(words), messages)


@points("1.3", 4)
def test_three_errors(adapters):
    """Every pattern of up to three errors is repaired."""
    patterns = [sum(1 << i for i in c) for k in range(4) for c in combinations(range(24), k)]
    word = int(adapters.run_golay_words()[1234])
    received = np.array(patterns, dtype=np.uint32) ^ np.uint32(word)
    nearest, changed = adapters.run_golay_decode(received)
    assert np.all(np.asarray(nearest) == word), "up to three errors lead back to the word"
    assert np.array_equal(changed, np.bitwise_count(np.array(patterns))), "the number of changed bits"


def _is_nearest(x, y, shortest):
    """No step along a shortest vector comes closer; for D4 and E8 this proves that y is nearest."""
    here = ((x - y) ** 2).sum(axis=1)
    there = ((x[:, None, :] - y[:, None, :] - shortest) ** 2).sum(axis=2).min(axis=1)
    return np.all(here <= there + 1e-9)


def d4_roots():
    """The 24 shortest vectors."""
    grid = np.stack(np.meshgrid(*[[-1, 0, 1]] * 4), axis=-1).reshape(-1, 4)
    return grid[(grid**2).sum(axis=1) == 2].astype(float)


def e8_roots():
    """The 240 shortest vectors."""
    whole = [
        np.eye(8)[i] * s + np.eye(8)[j] * t
        for i, j in combinations(range(8), 2)
        for s in (1, -1)
        for t in (1, -1)
    ]
    signs = 1.0 - 2 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    return np.concatenate([np.array(whole), signs[(signs < 0).sum(axis=1) % 2 == 0] / 2])


@points("1.4", 2)
def test_nearest_d4(adapters):
    """Points of D4, none nearer."""
    x = wave(200, 4, 3.0)
    y = np.asarray(adapters.run_nearest_d4(x), dtype=float)
    assert np.array_equal(y, np.rint(y)) and np.all(y.sum(axis=1) % 2 == 0), "integers with an even sum"
    assert _is_nearest(x, y, d4_roots()), "another point of D4 is nearer"


@points("1.4", 3)
def test_nearest_e8(adapters):
    """Points of E8, none nearer."""
    x = wave(200, 8, 3.0)
    y = np.asarray(adapters.run_nearest_e8(x), dtype=float)
    twice = np.rint(2 * y)
    assert np.array_equal(2 * y, twice), "integers or halves"
    assert np.all(twice % 2 == twice[:, :1] % 2), "all integers or all halves"
    assert np.all(y.sum(axis=1) % 2 == 0), "an even sum"
    assert _is_nearest(x, y, e8_roots()), "another point of E8 is nearer"
