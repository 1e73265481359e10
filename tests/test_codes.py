"""codes.py: joining words to rows against big integers, and the measured rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import codes
from llvq_mini.baselines.ecsq import ECSQ
from llvq_mini.baselines.scalar import LloydMax


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=5), st.integers(0, 2**32))
def test_rows_are_little_endian_integers(widths, seed):
    rng = np.random.default_rng(seed)
    words = [rng.integers(0, 2**w - 1, 3, dtype=np.uint64, endpoint=True) for w in widths]
    rows = codes.join(words, widths)
    assert rows.shape == (3, (sum(widths) + 7) // 8)
    for n in range(3):
        number, at = 0, 0
        for word, width in zip(words, widths, strict=True):
            number |= int(word[n]) << at
            at += width
        assert int.from_bytes(rows[n].tobytes(), "little") == number
    assert all((a == b).all() for a, b in zip(codes.split(rows, widths), words, strict=True))


def test_bits_behind_the_last_word_and_other_shapes_raise():
    rows = codes.join([np.array([5], dtype=np.uint64)], [3])
    with pytest.raises(ValueError, match="zero bits"):
        codes.split(rows | np.uint8(8), [3])
    for bad in (rows.astype(np.int64), rows[0], np.zeros((1, 2), dtype=np.uint8)):
        with pytest.raises(ValueError, match="Argument 'codes'"):
            codes.split(bad, [3])


def test_rate_is_fixed_or_measured():
    x = np.random.default_rng(0).standard_normal((5000, 8))
    fixed, variable = LloydMax(2), ECSQ(2.0)
    assert codes.rate(fixed, fixed.encode(x)) == 2.0
    measured = codes.rate(variable, variable.encode(x))
    assert measured == 8 * len(variable.compress(variable.encode(x))) / x.size
    assert abs(measured - 2) < 0.02
    assert isinstance(variable, codes.VariableRate) and not isinstance(fixed, codes.VariableRate)
