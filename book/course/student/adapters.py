"""The tests reach your code only through these functions.

They are wired to the files in solution/. If you organize your code differently, change the bodies here, never the
names or what goes in and out. Each function imports what it needs when it is called, so an error in week 3 does not
cost points of week 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

KERNEL = Path(__file__).parent / "solution" / "kernel.cu"


# ---- week 1 ----
def run_lloyd_max(levels: int) -> Any:
    """1.1"""
    from solution import week1

    return week1.lloyd_max(levels)


def run_golay_words() -> Any:
    """1.2"""
    from solution import week1

    return week1.golay_words()


def run_golay_encode(messages: Any) -> Any:
    """1.2"""
    from solution import week1

    return week1.golay_encode(messages)


def run_golay_message(words: Any) -> Any:
    """1.2"""
    from solution import week1

    return week1.golay_message(words)


def run_golay_decode(received: Any) -> Any:
    """1.3"""
    from solution import week1

    return week1.golay_decode(received)


def run_nearest_d4(x: Any) -> Any:
    """1.4"""
    from solution import week1

    return week1.nearest_d4(x)


def run_nearest_e8(x: Any) -> Any:
    """1.4"""
    from solution import week1

    return week1.nearest_e8(x)


# ---- week 2 ----
def run_leech_contains(v: Any) -> Any:
    """2.1"""
    from solution import week2

    return week2.leech_contains(v)


def run_minimal_vectors() -> Any:
    """2.1"""
    from solution import week2

    return week2.minimal_vectors()


def run_theta(m: int) -> Any:
    """2.2"""
    from solution import week2

    return week2.theta(m)


def run_nearest_minimal(x: Any) -> Any:
    """2.3"""
    from solution import week2

    return week2.nearest_minimal(x)


def run_nearest_leech(x: Any) -> Any:
    """2.4"""
    from solution import week2

    return week2.nearest_leech(x)


# ---- week 3 ----
def run_rank(arrangement: Any) -> Any:
    """3.1"""
    from solution import week3

    return week3.rank(arrangement)


def run_unrank(leader: Any, number: int) -> Any:
    """3.1"""
    from solution import week3

    return week3.unrank(leader, number)


def run_encode_minimal(v: Any) -> Any:
    """3.1"""
    from solution import week3

    return week3.encode_minimal(v)


def run_decode_minimal(codes: Any) -> Any:
    """3.1"""
    from solution import week3

    return week3.decode_minimal(codes)


def run_pack(codes: Any, bits: int) -> Any:
    """3.2"""
    from solution import week3

    return week3.pack(codes, bits)


def run_unpack(packed: Any, bits: int, count: int) -> Any:
    """3.2"""
    from solution import week3

    return week3.unpack(packed, bits, count)


def run_train_gains(projections: Any, count: int) -> Any:
    """3.3"""
    from solution import week3

    return week3.train_gains(projections, count)


def run_shape_gain_encode(x: Any, gains: Any) -> Any:
    """3.3"""
    from solution import week3

    return week3.shape_gain_encode(x, gains)


def run_shape_gain_decode(codes: Any, numbers: Any, gains: Any) -> Any:
    """3.3"""
    from solution import week3

    return week3.shape_gain_decode(codes, numbers, gains)


def run_gap_db(mse: float, rate: float) -> Any:
    """3.4"""
    from solution import week3

    return week3.gap_db(mse, rate)


def run_bits_per_weight(rows: int, columns: int, block: int, code_bits: int, scale_bits: int) -> Any:
    """3.4"""
    from solution import week3

    return week3.bits_per_weight(rows, columns, block, code_bits, scale_bits)


# ---- week 4 ----
def run_round_with_feedback(weight: Any, hessian: Any, block: int, quantize: Any) -> Any:
    """4.1"""
    from solution import week4

    return week4.round_with_feedback(weight, hessian, block, quantize)


def run_hadamard(x: Any) -> Any:
    """4.2"""
    from solution import week4

    return week4.hadamard(x)


def run_rotate(x: Any, signs: Any) -> Any:
    """4.2"""
    from solution import week4

    return week4.rotate(x, signs)


def run_unrotate(y: Any, signs: Any) -> Any:
    """4.2"""
    from solution import week4

    return week4.unrotate(y, signs)


def run_spherical(z: Any) -> Any:
    """4.3"""
    from solution import week4

    return week4.spherical(z)


def run_spherical_gradient(z: Any, gradient: Any) -> Any:
    """4.3"""
    from solution import week4

    return week4.spherical_gradient(z, gradient)


def run_usage_bits(codes: Any) -> Any:
    """4.3"""
    from solution import week4

    return week4.usage_bits(codes)


def kernel_source() -> Path:
    """4.4: the file with your two kernels."""
    return KERNEL
