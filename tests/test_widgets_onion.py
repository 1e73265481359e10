"""The shell onion: counts against the library and another lattice's own count, JavaScript against Python."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from in_node import javascript
from scipy.stats import chi

from llvq_mini import codebook, leech, shells
from llvq_mini.widgets import ShellOnion, shell_onion
from llvq_mini.widgets.shell_onion import LAST, counts, union


def test_counts_are_those_of_the_library() -> None:
    """The Leech lattice by classes; E8 three times by the vectors of E8, and 720 tau(m) above the Leech lattice."""
    assert list(counts("leech")[1:]) == [shells.size(m) for m in range(1, LAST + 1)]
    assert counts("leech")[0] == counts("e8")[0] == 1
    integers = np.array(list(product((-2, -1, 0, 1, 2), repeat=8)))
    halves = np.array(list(product((-1.5, -0.5, 0.5, 1.5), repeat=8)))
    e8 = [0, 0, 0]
    for points in (integers, halves):
        norms = (points**2).sum(axis=1)[points.sum(axis=1) % 2 == 0]
        e8 = [n + int((norms == 2 * m).sum()) for m, n in enumerate(e8)]
    a, b, c = e8
    assert counts("e8")[:3] == (a**3, 3 * a * a * b, 3 * a * a * c + 3 * a * b * b)
    tau = leech._ramanujan_tau(LAST)
    assert all(
        n - k == 720 * tau[m] for m, (n, k) in enumerate(zip(counts("e8"), counts("leech"), strict=True))
    )


def test_unions() -> None:
    """The codes of the book: bits of balls and shells, shares inside by scipy, and the scale that Ball fits."""
    ball = union("leech", 0, 13)
    assert ball.points == shells.ball_size(13) + 1 == 280_974_212_784_721
    assert ball.rate == pytest.approx(math.log2(ball.points) / 24) and ball.points.bit_length() == 48
    assert union("leech", 3, 3).points == 2**24 - 4096
    for first, last in ((0, 13), (3, 3), (5, 9), (0, 19)):
        found = union("leech", first, last)
        energy = sum(2 * m * shells.size(m) for m in range(max(first, 2), last + 1)) / found.points
        assert found.scale**2 * energy / 24 == pytest.approx(1 - 4**-found.rate)
        assert found.inside == pytest.approx(chi.cdf(found.scale * (2 * last) ** 0.5, 24), abs=1e-12)
    assert union("leech", 0, 13).scale == pytest.approx(codebook.Ball(13).scale * 8**0.5, rel=0.05)


def test_leaders() -> None:
    """All classes of a small shell; the largest of a large one, in exponent notation."""
    assert shell_onion.leaders(2) == [("3 1²³", 98304), ("2⁸ 0¹⁶", 97152), ("4² 0²²", 1104)]
    top = shell_onion.leaders(13)
    every = sorted((leader.cardinality for leader in shells.classes(13)), reverse=True)
    assert [n for _, n in top] == every[: len(top)] and len(top) == shell_onion.TOP


def test_onion_in_javascript() -> None:
    """Every union of both lattices, with exact numbers of points."""
    runs = [
        [key, first, last]
        for key in counts_keys()
        for last in range(2, LAST + 1)
        for first in range(last + 1)
    ]
    body = """const counts = Object.fromEntries(state.lattices.map(([key, , texts]) => [key, texts.map(BigInt)]));
        return given.map(([key, first, last]) => {
            const found = unionOf(counts[key], first, last);
            return { ...found, points: grouped(found.points) };
        });"""
    for run, found in zip(runs, javascript(ShellOnion(), body, runs), strict=True):
        wanted = union(*run)
        assert found["points"] == f"{wanted.points:,}"
        for name in ("rate", "scale", "inside"):
            assert found[name] == pytest.approx(getattr(wanted, name), rel=1e-9, abs=1e-12), (run, name)


def counts_keys() -> list[str]:
    """The lattices of the widget."""
    return list(shell_onion.LABELS)


def test_arguments_and_picture() -> None:
    """A run outside is refused; the static page shows the run."""
    for first, last in ((0, 1), (5, 4), (-1, 3), (0, LAST + 1)):
        with pytest.raises(ValueError, match="Arguments 'first' and 'last'"):
            ShellOnion(first, last)
    page = ShellOnion(2, 4).static_html()
    assert "415,003,680 points" in page and "398,034,000" in page and "4,629,381,120" not in page


def test_lengths_of_blocks_in_javascript() -> None:
    """The density that two widgets draw: a chi variable with 24 degrees of freedom, over its largest value."""
    r = np.linspace(0.0, 8.0, 41)
    found = javascript(ShellOnion(), "return given.map(blockDensity);", r.tolist())
    assert found == pytest.approx(chi.pdf(r, 24) / chi.pdf(23**0.5, 24), abs=1e-12)
