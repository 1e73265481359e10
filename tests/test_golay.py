"""golay.py: the code, its Steiner system, membership against two other constructions, exact decoding."""

from __future__ import annotations

from itertools import combinations

import galois
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import golay


def patterns(errors: int) -> np.ndarray:
    """All 24-bit words of weight `errors`."""
    return np.array([sum(1 << i for i in c) for c in combinations(range(24), errors)], dtype=np.uint32)


def test_words_are_4096_distinct_numbers_of_24_bits():
    assert golay.WORDS.dtype == np.uint32 and golay.WORDS.shape == (4096,)
    assert len(np.unique(golay.WORDS)) == 4096 and golay.WORDS.max() < 1 << 24


def test_weight_enumerator_and_minimum_distance():
    counts = np.bincount(golay.weight(golay.WORDS), minlength=25)
    assert {w: n for w, n in enumerate(counts) if n} == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}
    distances = golay.weight(golay.WORDS[:, None] ^ golay.WORDS[None, :])
    assert distances[~np.eye(4096, dtype=bool)].min() == 8


def test_code_is_linear_and_self_dual():
    sums = golay.WORDS[:, None] ^ golay.WORDS[None, :]
    assert np.isin(sums, golay.WORDS).all()
    # Orthogonal to itself, and 2^12 words is half of the dimension 24:
    assert (golay.weight(golay.WORDS[:, None] & golay.WORDS[None, :]) % 2 == 0).all()


def test_numbering_is_turyn():
    number = np.arange(4096)
    x, a, b = number >> 8, number >> 4 & 15, number & 15
    octads = golay.WORDS[:, None] >> np.array([0, 8, 16], dtype=np.uint32) & 255
    g = golay.HAMMING_INVERTED[x]
    assert (octads[:, 0] == golay.HAMMING[a] ^ g).all()
    assert (octads[:, 1] == golay.HAMMING[b] ^ g).all()
    assert (octads[:, 2] == golay.HAMMING[a ^ b] ^ g).all()
    assert (golay.number(golay.WORDS) == number).all()


def test_inverse_table_is_inversion_in_galois_field():
    field = galois.GF(8, irreducible_poly="x^3 + x + 1")
    assert golay.INVERSE[0] == 0
    assert (golay.INVERSE[1:] == np.array(np.reciprocal(field(np.arange(1, 8))))).all()


def test_same_code_as_the_cyclic_code_from_galois(golay_generator):
    masks = golay.from_bits(golay_generator)
    words = np.zeros(1, dtype=np.uint32)
    for mask in masks:
        words = np.concatenate([words, words ^ mask])
    assert set(words.tolist()) == set(golay.WORDS.tolist())


def test_membership_on_all_24_bit_words():
    """All 2^24 words: `contains` is exactly the set WORDS, and `number` inverts WORDS."""
    inside = []
    for start in range(0, 1 << 24, 1 << 20):
        chunk = np.arange(start, start + (1 << 20), dtype=np.uint32)
        member, number = golay.contains(chunk), golay.number(chunk)
        inside.append(chunk[member])
        assert (golay.WORDS[number[member]] == chunk[member]).all() and (number[~member] == -1).all()
    assert (np.concatenate(inside) == np.sort(golay.WORDS)).all()


def test_membership_against_a_parity_check_matrix_from_galois():
    code = galois.GF2(golay.to_bits(golay.WORDS[[1 << n for n in range(12)]]))
    check = code.null_space()
    assert check.shape == (12, 24)
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << 24, 20_000, dtype=np.uint32)
    noise = np.array([0, 0, 1, 3, 255], dtype=np.uint32)
    words[::2] = rng.choice(golay.WORDS, 10_000) ^ rng.choice(noise, 10_000)
    syndrome = np.array(check) @ golay.to_bits(words).T.astype(np.int64) % 2
    assert (golay.contains(words) == ~syndrome.any(axis=0)).all()
    assert 1000 < golay.contains(words).sum() < 19_000


def test_octads_form_the_steiner_system_s_5_8_24():
    """Every five coordinates lie in exactly one octad: 759 * C(8, 5) = C(24, 5) = 42504."""
    supports = [np.flatnonzero(bits) for bits in golay.to_bits(golay.of_weight(8))]
    fives = [five for support in supports for five in combinations(support.tolist(), 5)]
    assert len(fives) == 42_504 and len(set(fives)) == 42_504


def test_octads_meet_evenly_and_dodecads_have_dodecad_complements():
    octads, dodecads = golay.of_weight(8), golay.of_weight(12)
    meets = np.bincount(golay.weight(octads[:, None] & octads[None, :])[0], minlength=9)
    assert {w: n for w, n in enumerate(meets) if n} == {0: 30, 2: 448, 4: 280, 8: 1}
    assert np.isin(dodecads ^ np.uint32(0xFFFFFF), dodecads).all()


@pytest.mark.parametrize("errors", [0, 1, 2, 3])
def test_up_to_three_errors_are_corrected(errors):
    """Every error pattern of this weight, on a handful of words."""
    for word in golay.WORDS[[0, 1, 77, 2048, 4095]]:
        nearest, changed = golay.decode_hard(patterns(errors) ^ word)
        assert (nearest == word).all() and (changed == errors).all()


def test_four_errors_are_seen_and_the_tie_goes_to_the_smallest_number():
    rng = np.random.default_rng(2)
    received = rng.choice(patterns(4), 300) ^ rng.choice(golay.WORDS, 300)
    nearest, changed = golay.decode_hard(received)
    assert (changed == 4).all()
    distance = golay.weight(received[:, None] ^ golay.WORDS)
    assert ((distance == 4).sum(axis=1) == 6).all()
    assert (nearest == golay.WORDS[(distance == 4).argmax(axis=1)]).all()


@pytest.mark.parametrize("kind", ["gaussian", "integers", "sparse", "huge"])
def test_soft_decoding_against_all_4096_words(kind):
    rng = np.random.default_rng(3)
    llr = rng.standard_normal((1200, 24))
    if kind == "integers":  # many exact ties
        llr = np.rint(2 * llr)
    elif kind == "sparse":
        llr *= rng.random(llr.shape) < 0.15
    elif kind == "huge":
        llr *= 1e300
    correlation = (llr / np.abs(llr).max()) @ (1.0 - 2.0 * golay.to_bits(golay.WORDS).astype(float)).T
    found = golay.decode_soft(llr)
    value = correlation[np.arange(len(llr)), golay.number(found)]
    assert np.isclose(value, correlation.max(axis=1), rtol=1e-12, atol=1e-12).all()
    if kind == "integers":  # integer sums are exact, so the tie rule can be tested: the smallest number
        exact = llr @ (1.0 - 2.0 * golay.to_bits(golay.WORDS).astype(float)).T
        assert (golay.number(found) == exact.argmax(axis=1)).all()


@pytest.mark.parametrize("size", [1.7e308, 1e-300, 5e-324])
def test_soft_decoding_at_the_ends_of_the_floats(size):
    words = golay.WORDS[::97]
    assert (golay.decode_soft(size * (1.0 - 2.0 * golay.to_bits(words))) == words).all()


def test_soft_decoding_of_zero_and_of_one_block():
    assert golay.decode_soft(np.zeros(24)) == golay.WORDS[0]
    assert golay.decode_soft(np.zeros(24)).shape == ()
    word = golay.WORDS[1234]
    assert golay.decode_soft(1.0 - 2.0 * golay.to_bits(word)) == word


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 4095), st.integers(0, 4095), st.integers(0, (1 << 24) - 1))
def test_decoding_commutes_with_adding_words(a, b, noise):
    """The code is linear, so adding a word moves the set of nearest words by that word."""
    received = np.uint32(golay.WORDS[a] ^ np.uint32(noise))
    changed = golay.decode_hard(received)[1], golay.decode_hard(received ^ golay.WORDS[b])[1]
    assert changed[0] == changed[1] <= 4


def test_bits_round_trip():
    words = np.random.default_rng(4).integers(0, 1 << 24, (5, 7), dtype=np.uint32)
    bits = golay.to_bits(words)
    assert bits.shape == (5, 7, 24) and (golay.from_bits(bits) == words).all()
    assert golay.to_bits(1)[0] == 1 and golay.to_bits(1 << 23)[23] == 1  # coordinate i <-> bit i


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: golay.weight(1 << 24), ValueError),
        (lambda: golay.weight(-1), ValueError),
        (lambda: golay.weight(1.0), TypeError),
        (lambda: golay.contains(np.array([1 << 40])), ValueError),
        (lambda: golay.of_weight(4), ValueError),
        (lambda: golay.from_bits(np.zeros(23, dtype=int)), ValueError),
        (lambda: golay.from_bits(np.full(24, 2)), ValueError),
        (lambda: golay.from_bits(0), ValueError),
        (lambda: golay.decode_soft(np.zeros(23)), ValueError),
        (lambda: golay.decode_soft(np.zeros((2, 2, 24))), ValueError),
        (lambda: golay.decode_soft(np.full(24, np.nan)), ValueError),
        (lambda: golay.decode_soft(np.full(24, np.inf)), ValueError),
        (lambda: golay.decode_hard(1 << 24), ValueError),
    ],
)
def test_bad_input_raises(call, error):
    with pytest.raises(error, match="Argument"):
        call()
