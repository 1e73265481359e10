"""Signs and grids: closed forms for their errors on a Gaussian source."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini.baselines.binary import BSQ, FSQ, LFQ, fsq_borders
from llvq_mini.baselines.scalar import cells


def test_one_bit_errors():
    x = np.random.default_rng(0).standard_normal((40_000, 24))
    bsq, lfq = BSQ(), LFQ()
    assert ((x - bsq.decode(bsq.encode(x))) ** 2).mean() == pytest.approx(1 - 2 / np.pi, rel=0.005)
    assert ((x - lfq.decode(lfq.encode(x))) ** 2).mean() == pytest.approx(2 - (8 / np.pi) ** 0.5, rel=0.005)
    assert (np.sign(bsq.decode(bsq.encode(x))) == np.sign(x)).all()


@pytest.mark.parametrize("levels", range(2, 10))
def test_fsq_cells_are_the_rounding_of_tanh(levels):
    x = np.random.default_rng(levels).standard_normal((2000, 1)) * 1.5
    number = np.round((levels - 1) * (np.tanh(x) + 1) / 2)
    assert (np.searchsorted(fsq_borders(levels), x[:, 0]) == number[:, 0]).all()


def test_fsq_codes_and_error():
    book = FSQ((8, 5, 5, 5))
    assert book.bits == 10
    every = np.arange(1000, dtype=np.uint64)
    assert (book.encode(book.decode(every)) == every).all()
    x = np.random.default_rng(1).standard_normal((40_000, 4))
    exact = np.mean([1 - (moment**2 / p).sum() for p, moment in (cells(fsq_borders(l)) for l in book.levels)])
    assert ((x - book.decode(book.encode(x))) ** 2).mean() == pytest.approx(exact, rel=0.02)
    with pytest.raises(ValueError, match="Argument 'codes'"):
        book.decode(np.array([1000]))
