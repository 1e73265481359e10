"""pack.py against Python's big integers: the stream is sum_n code_n 2^(n bits), little-endian."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import pack


@st.composite
def codes_and_width(draw):
    bits = draw(st.integers(1, 64))
    return draw(st.lists(st.integers(0, 2**bits - 1), max_size=40)), bits


def as_bytes(codes: list[int], bits: int) -> bytes:
    stream = sum(code << n * bits for n, code in enumerate(codes))
    return stream.to_bytes((len(codes) * bits + 7) // 8, "little")


@settings(max_examples=400, deadline=None)
@given(codes_and_width())
def test_stream_is_a_little_endian_integer(case):
    codes, bits = case
    packed = pack.pack(np.array(codes, dtype=np.uint64), bits)
    assert packed.dtype == np.uint8 and packed.tobytes() == as_bytes(codes, bits)
    assert pack.packed_size(len(codes), bits) == len(packed)
    unpacked = pack.unpack(packed, bits, len(codes))
    assert unpacked.dtype == np.uint64 and unpacked.tolist() == codes


@pytest.mark.parametrize("bits", range(1, 65))
def test_every_width_with_all_ones_and_random_codes(bits):
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 2**bits - 1, 1001, dtype=np.uint64, endpoint=True)
    codes[[0, 500, 1000]] = np.uint64(2**bits - 1)
    packed = pack.pack(codes, bits)
    assert packed.tobytes() == as_bytes([int(c) for c in codes], bits)
    assert (pack.unpack(packed, bits, 1001) == codes).all()


def test_48_bits_are_six_bytes_a_code():
    codes = np.array([0x0123456789AB, 0xFFEEDDCCBBAA], dtype=np.uint64)
    assert bytes(pack.pack(codes, 48)).hex() == "ab8967452301" + "aabbccddeeff"


@settings(max_examples=200, deadline=None)
@given(codes_and_width(), st.integers(1, 9), st.booleans())
def test_a_buffer_of_another_length_raises(case, change, longer):
    codes, bits = case
    packed = pack.pack(np.array(codes, dtype=np.uint64), bits)
    wrong = np.concatenate([packed, np.zeros(change, np.uint8)]) if longer else packed[: len(packed) - change]
    if len(wrong) != len(packed):
        with pytest.raises(ValueError, match="Argument 'buffer'.*truncated"):
            pack.unpack(wrong, bits, len(codes))


@settings(max_examples=200, deadline=None)
@given(codes_and_width(), st.data())
def test_bits_behind_the_last_code_raise(case, data):
    codes, bits = case
    used = len(codes) * bits % 8
    if used:
        packed = pack.pack(np.array(codes, dtype=np.uint64), bits)
        packed[-1] |= 1 << data.draw(st.integers(used, 7))
        with pytest.raises(ValueError, match="Argument 'buffer'.*zero bits"):
            pack.unpack(packed, bits, len(codes))


@settings(max_examples=100, deadline=None)
@given(codes_and_width(), st.data())
def test_every_flipped_bit_changes_exactly_its_code(case, data):
    codes, bits = case
    if codes:
        packed = pack.pack(np.array(codes, dtype=np.uint64), bits)
        at = data.draw(st.integers(0, len(codes) * bits - 1))
        packed[at // 8] ^= 1 << at % 8
        expected = list(codes)
        expected[at // bits] ^= 1 << at % bits
        assert pack.unpack(packed, bits, len(codes)).tolist() == expected


def test_integer_types_layouts_and_empty_input():
    for dtype in (np.uint8, np.int16, np.int64, np.uint64):
        assert pack.pack(np.array([5, 6], dtype=dtype), 3).tolist() == [0b110101]
    strided = np.arange(20, dtype=np.uint64)[::2]
    packed = pack.pack(strided, 5)
    assert (pack.unpack(packed, 5, 10) == strided).all()
    assert (pack.unpack(np.repeat(packed, 2)[::2], 5, 10) == strided).all()
    assert pack.pack(np.zeros(0, dtype=np.uint64), 7).shape == (0,)
    assert pack.unpack(np.zeros(0, dtype=np.uint8), 7, 0).shape == (0,)
    frozen = np.frombuffer(packed.tobytes(), dtype=np.uint8)  # read-only, as from a file
    assert (pack.unpack(frozen, 5, 10) == strided).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(65, 130), st.integers(0, 20), st.integers(0, 2**32))
def test_long_codes_are_a_bit_stream_of_big_integers(bits, count, seed):
    rng = np.random.default_rng(seed)
    numbers = [int.from_bytes(rng.bytes(17), "little") % 2**bits for _ in range(count)]
    width = (bits + 7) // 8
    rows = np.frombuffer(b"".join(n.to_bytes(width, "little") for n in numbers), np.uint8).reshape(-1, width)
    packed = pack.pack(rows, bits)
    whole = sum(n << i * bits for i, n in enumerate(numbers))
    assert packed.tobytes() == whole.to_bytes(pack.packed_size(count, bits), "little")
    assert (pack.unpack(packed, bits, count) == rows).all()


def test_long_codes_in_chunks(monkeypatch):
    rows = np.random.default_rng(0).integers(0, 256, (50, 11), dtype=np.uint8)
    rows[:, -1] &= 15
    whole = pack.pack(rows, 84)
    monkeypatch.setattr(pack, "_CHUNK", 16)
    assert (pack.pack(rows, 84) == whole).all() and (pack.unpack(whole, 84, 50) == rows).all()
    with pytest.raises(ValueError, match="zero bits"):
        pack.pack(rows | np.uint8(16), 84)


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: pack.pack(np.array([8]), 3), ValueError),
        (lambda: pack.pack(np.array([-1]), 3), ValueError),
        (lambda: pack.pack(np.array([1.0]), 3), TypeError),
        (lambda: pack.pack(np.array([[1]]), 3), ValueError),
        (lambda: pack.pack(np.array([1]), 0), ValueError),
        (lambda: pack.pack(np.array([1]), 65), ValueError),
        (lambda: pack.pack(np.array([1]), 2.0), ValueError),
        (lambda: pack.unpack(np.zeros(1, dtype=np.int8), 8, 1), TypeError),
        (lambda: pack.unpack(np.zeros((1, 1), dtype=np.uint8), 8, 1), TypeError),
        (lambda: pack.unpack(np.zeros(1, dtype=np.uint8), 0, 1), ValueError),
        (lambda: pack.unpack(np.zeros(0, dtype=np.uint8), 8, -1), ValueError),
        (lambda: pack.packed_size(-1, 8), ValueError),
    ],
)
def test_bad_input_raises(call, error):
    with pytest.raises(error, match="Argument"):
        call()
