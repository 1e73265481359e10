"""Entropy-coded scalar quantization against the known curve, exactly and by length of files."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini import codes
from llvq_mini.baselines.ecsq import ECSQ
from llvq_mini.baselines.scalar import cells

# Distortion at entropy 1 ... 4, computed independently; classic tables (4.64, 10.55, 16.56 dB) agree to 0.06 dB.
PUBLISHED = {1: 0.34826, 2: 0.08892, 3: 0.02224, 4: 0.00556}


@pytest.mark.parametrize("rate", PUBLISHED)
def test_design_reaches_the_curve(rate):
    book = ECSQ(rate)
    probability, moment = cells(book.borders)
    assert -probability @ np.log2(probability) == pytest.approx(rate, abs=1e-6)
    mse = 1 - 2 * book.levels @ moment + book.levels**2 @ probability
    assert mse == pytest.approx(PUBLISHED[rate], rel=2e-3)
    assert np.allclose(book.levels, -book.levels[::-1], atol=1e-6) and len(book.levels) % 2 == 1


def test_files_have_the_promised_length_and_error():
    book = ECSQ(2.0)
    x = np.random.default_rng(3).standard_normal((25_000, 8))
    c = book.encode(x)
    data = book.compress(c)
    assert (book.expand(data, len(c)) == c).all()
    assert codes.rate(book, c) == pytest.approx(2, abs=0.01)
    error = ((x - book.decode(c)) ** 2).mean()
    assert error == pytest.approx(PUBLISHED[2], rel=0.02)


def test_a_byte_above_the_levels_raises():
    with pytest.raises(ValueError, match="bytes below"):
        ECSQ(2.0).decode(np.array([255], dtype=np.uint64))
