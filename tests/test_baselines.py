"""What all baselines and further Leech codes share: protocol, round trips, specs, refusals.  Figures: a file each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llvq_mini import baselines
from llvq_mini.baselines.binary import BSQ, FSQ, LFQ
from llvq_mini.baselines.e8 import E8P, E8Ball
from llvq_mini.baselines.ecsq import ECSQ
from llvq_mini.baselines.pyramid import Pyramid
from llvq_mini.baselines.residual import Additive, KMeans, PointList, Residual
from llvq_mini.baselines.scalar import LloydMax, Uniform
from llvq_mini.baselines.trellis import Trellis
from llvq_mini.codebook import Codebook, SingleShell
from llvq_mini.entropy_leech import EntropyLeech
from llvq_mini.interlocked import Interlocked
from llvq_mini.voronoi import Voronoi


def books() -> list[Codebook]:
    lists = np.random.default_rng(0).standard_normal((3, 16, 6))
    short = PointList(np.random.default_rng(1).standard_normal((16, 8)))
    return [
        Uniform(2), LloydMax(3), ECSQ(2.0), E8Ball(4, scale=1.3), E8P(scale=1.0), Pyramid(5, 1), KMeans(4, 3),
        Residual([E8P(scale=1.0), short], [1.0, 0.3]), Residual([E8P(scale=1.0)] * 5, 0.3 ** np.arange(5)),
        Additive(3, 4, 6, 4, lists), Trellis(2, 8, "lut"), Trellis(3, 8, "3inst"), BSQ(17), LFQ(64), FSQ((8, 5, 5, 5)),
        Interlocked((2, 3), [4.0, 5.0]), Voronoi(3, 0.47), Voronoi(8, 0.2), EntropyLeech(1.5),
        Residual([Interlocked((2, 3), [4.0, 5.0]), SingleShell(3, 0, [4.6])], [1.0, 0.5]),
    ]  # fmt: skip


@pytest.fixture(scope="module", params=range(20), ids=lambda i: f"book{i}")
def book(request):
    return books()[request.param]


def test_protocol(book):
    assert isinstance(book, Codebook) and book.name and book.bits_per_weight > 0
    rng = np.random.default_rng(book.dim)
    x = rng.standard_normal((9, book.dim)).astype(np.float32)
    codes = book.encode(x)
    y = book.decode(codes)
    assert y.dtype == np.float32 and y.shape == x.shape and len(codes) == 9
    if book.bits > 64:
        assert codes.dtype == np.uint8 and codes.shape == (9, (book.bits + 7) // 8)
    else:
        assert codes.dtype == np.uint64 and codes.shape == (9,)
        assert book.bits == 64 or int(codes.max()) < 2**book.bits
    assert (book.encode(x[::-1]) == codes[::-1]).all()  # blocks are independent
    assert book.decode(codes[:0]).shape == (0, book.dim) and len(book.encode(x[:0])) == 0
    assert ((x - y) ** 2).mean() < 1


def test_spec_survives_json(book):
    again = baselines.from_spec(json.loads(json.dumps(book.spec())))
    x = np.random.default_rng(1).standard_normal((7, book.dim))
    codes = book.encode(x)
    assert (again.encode(x) == codes).all() and (again.decode(codes) == book.decode(codes)).all()
    assert again.name == book.name and again.bits_per_weight == book.bits_per_weight


def test_unsuitable_blocks_and_codes_raise(book):
    for bad in (np.zeros(book.dim), np.zeros((2, book.dim + 1)), np.full((2, book.dim), np.nan)):
        with pytest.raises(ValueError, match="Argument 'x'"):
            book.encode(bad)
    for bad_codes in (np.zeros(2), np.zeros((2, 2, 2), dtype=np.uint8), np.array([-1])):
        with pytest.raises(ValueError, match="Argument 'codes'"):
            book.decode(bad_codes)


@pytest.mark.parametrize("spec", [{}, {"kind": "fsq", "level": 3}, {"kind": "nothing"}, 5])
def test_unknown_specs_raise(spec):
    with pytest.raises(ValueError, match="Argument 'spec'"):
        baselines.from_spec(spec)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ECSQ(9), lambda: E8Ball(3), lambda: E8P(scale=0), lambda: Pyramid(61), lambda: Pyramid(5, 9),
        lambda: Pyramid(40), lambda: Pyramid(5, 1, [1.0]), lambda: KMeans(13), lambda: PointList(np.zeros((3, 2))),
        lambda: Residual([]), lambda: Residual([BSQ(2), BSQ(3)]), lambda: Residual([BSQ(2)], [0.0]),
        lambda: Additive(2, 3, 4, lists=np.zeros((2, 2, 2))), lambda: Additive(9, 8, 1, lists=np.zeros((9, 256, 1))),
        lambda: Trellis(5), lambda: Trellis(3, 5), lambda: Trellis(2, 17), lambda: Trellis(2, 8, "none"),
        lambda: Trellis(2, 8, scale=-1.0), lambda: BSQ(0), lambda: LFQ(65), lambda: FSQ((1, 4)), lambda: FSQ(()),
    ],
)  # fmt: skip
def test_unsuitable_parameters_raise(make):
    with pytest.raises(ValueError, match="Argument '|must fit 64 bits"):
        make()
