"""Entropy-coded Leech vectors: files decode, have the promised length, and the error of theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import codes, index
from llvq_mini.entropy_leech import MAX_SHELL, EntropyLeech

TWO_BITS = EntropyLeech(2.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, index.size(MAX_SHELL) - 1), max_size=20))
def test_any_points_survive_the_coder(numbers):
    c = np.array(numbers, dtype=np.uint64)
    assert TWO_BITS.expand(TWO_BITS.compress(c), len(c)).tolist() == numbers


@pytest.mark.parametrize("rate, error", [(1.0, 0.2808), (2.0, 0.0703)])
def test_files_have_the_promised_length_and_error(rate, error):
    book = EntropyLeech(rate)
    x = np.random.default_rng(4).standard_normal((12_000, 24))
    c = book.encode(x)
    measured = codes.rate(book, c)
    shell = np.searchsorted([index.size(m) for m in range(32)], c, side="right")
    assert measured == pytest.approx(book.model.length()[shell].mean() / 24, abs=1e-3)  # the coder costs no more
    assert measured == pytest.approx(rate, abs=0.01)
    square = (x**2).mean(axis=1)
    errors = ((x - book.decode(c)) ** 2).mean(axis=1)
    slope = np.cov(errors, square)[0, 1] / square.var()
    assert (errors - slope * (square - 1)).mean() * 4 ** (measured - rate) == pytest.approx(error, rel=0.01)


def test_blocks_beyond_the_last_shell_take_a_point_inside():
    x = np.random.default_rng(5).standard_normal((20, 24)) * 5
    c = TWO_BITS.encode(x)
    assert (TWO_BITS.expand(TWO_BITS.compress(c), 20) == c).all() and int(c.max()) < index.size(MAX_SHELL)


def test_unsuitable_arguments_raise():
    with pytest.raises(ValueError, match="Argument 'rate'"):
        EntropyLeech(2.5)
    with pytest.raises(ValueError, match="frequenc"):
        EntropyLeech(2.0, 0.38, 0.93, [1] * 32)
    with pytest.raises(ValueError, match="Argument 'codes'"):
        TWO_BITS.compress(np.array([-1]))
