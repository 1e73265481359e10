"""The shells of the Leech lattice as an onion to cut: points, classes and bits of any run of shells (shell_onion.js).

In the frame of volume 1, shell m has the radius sqrt(2 m); N_m, its number of points, is an exact integer (a string in
the state, a BigInt in the page).  For the union of the shells first ... last:

    N = sum N_m,        R = log2(N) / 24 bits a weight,        a share N_m / N of the points on shell m.

To lay the union over a Gaussian source of variance 1 one needs a length s of the frame's unit.  Shannon's best code
words have the energy 1 - 2^(-2R) a number; giving the union that energy,

    s^2 = 24 (1 - 2^(-2R)) / (mean of 2m over the union),

which is within 5 % of the scales that codebook.Ball fits.  |x| / s is then the length of a block in the onion, and

    P(|x| <= s r) = 1 - e^(-t) sum_{k < 12} t^k / k!,      t = (s r)^2 / 2,

the share of blocks inside the radius r.  For comparison there is E8 + E8 + E8, the same volume in the same dimension:
its counts, the coefficients of E4^3, differ by 720 tau(m).

Not here: errors (book/rate.md measures them).  Sources: shells.py, leech.py; J.-P. Serre, A Course in Arithmetic,
chapter VII, for E4^3.  Tests: tests/test_widgets_onion.py, tests/browser/test_widget_shell_onion.py.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import NamedTuple

from llvq_mini import leech, shells
from llvq_mini.widgets._base import Widget

LAST = 19
"""The outermost shell; its ball is the largest whose index has 55 bits."""
TOP = 5
"""Classes that are listed of a shell, the largest first."""
LABELS = {"leech": "Leech lattice", "e8": "E₈ three times"}
PRESETS = {
    "kissing": ("shell 2", 2, 2),
    "one": ("1 bit: shell 3", 3, 3),
    "gain": ("47 bits: ball of 12", 0, 12),
    "two": ("2 bits: ball of 13", 0, 13),
}
_UP = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@cache
def counts(lattice: str) -> tuple[int, ...]:
    """Points of the shells 0 ... LAST of "leech" or "e8" (three copies)."""
    if lattice == "leech":
        return tuple(leech.theta(m) for m in range(LAST + 1))
    e4 = [1] + [240 * sum(d**3 for d in range(1, m + 1) if m % d == 0) for m in range(1, LAST + 1)]
    cube = [1] + [0] * LAST
    for _ in range(3):
        cube = [sum(cube[i] * e4[m - i] for i in range(m + 1)) for m in range(LAST + 1)]
    return tuple(cube)


def short(values: tuple[int, ...]) -> str:
    """A leader in exponent notation, (4, 4, 0, ..., 0) as 4² 0²²."""
    parts = Counter(values).items()  # in the order of the leader
    return " ".join(str(value) + (str(n).translate(_UP) if n > 1 else "") for value, n in parts)


def leaders(m: int) -> list[tuple[str, int]]:
    """The largest classes of shell m of the Leech lattice: leader and number of points."""
    found = sorted(shells.classes(m), key=lambda leader: -leader.cardinality)[:TOP]
    return [(short(leader.values), leader.cardinality) for leader in found]


class Union(NamedTuple):
    """Points and rate of a union of shells; scale, and the share of Gaussian blocks inside its outermost radius."""

    points: int
    rate: float
    scale: float
    inside: float


def union(lattice: str, first: int, last: int) -> Union:
    """The shells first ... last of "leech" or "e8"; shell 0 is the origin."""
    chosen = counts(lattice)[first : last + 1]
    points = sum(chosen)
    rate = math.log2(points) / 24
    norm = sum(2 * m * n for m, n in enumerate(chosen, first)) / points
    scale = (24 * (1 - 4**-rate) / norm) ** 0.5
    return Union(points, rate, scale, inside(scale * (2 * last) ** 0.5))


def inside(r: float) -> float:
    """P(|x| <= r) for 24 independent Gaussian numbers."""
    t, term, total = r * r / 2, 1.0, 0.0
    for k in range(12):
        total += term
        term *= t / (k + 1)
    return 1 - math.exp(-t) * total


class ShellOnion(Widget):
    """A run of shells to choose with two sliders, and what it holds.

    Args:
        first, last: the run, 0 <= first <= last, 2 <= last <= 19; shell 0 is the origin.

    Raises:
        ValueError: a run outside of that.
    """

    name = "shell_onion"

    def __init__(self, first: int = 0, last: int = 13) -> None:
        if not (0 <= first <= last and 2 <= last <= LAST):
            raise ValueError(
                f"Arguments 'first' and 'last' must satisfy 0 <= first <= last and 2 <= last <= {LAST}, "
                f"got {first!r} and {last!r}."
            )
        super().__init__(
            lattices=[[key, label, [str(n) for n in counts(key)]] for key, label in LABELS.items()],
            classes=[len(shells.classes(m)) for m in range(LAST + 1)],
            leaders=[[[text, str(n)] for text, n in leaders(m)] for m in range(LAST + 1)],
            presets=[[key, *row] for key, row in PRESETS.items()],
            lattice="leech",
            first=int(first),
            last=int(last),
        )

    def __repr__(self) -> str:
        return f"ShellOnion({self.state['first']}, {self.state['last']})"

    def static_html(self) -> str:
        """The onion with the chosen run, and a table of its shells."""
        first, last = self.state["first"], self.state["last"]
        found, rows, ball = union("leech", first, last), [], 0
        for m, n in enumerate(counts("leech")):
            ball += n
            if m < 2 or not first <= m <= last:
                continue
            cells = (
                f"{(2 * m) ** 0.5:.4f}",
                f"{n:,}",
                str(len(shells.classes(m))),
                f"{math.log2(ball) / 24:.5f}",
            )
            rows.append(f'<tr><th scope="row">{m}</th>{"".join(f"<td>{text}</td>" for text in cells)}</tr>')
        columns = ("shell", "radius", "points", "classes", "bits of the ball")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        caption = f"Shells {first} to {last}: {found.points:,} points, {found.rate:.5f} bits a weight"
        return (
            f'<div class="llvq-w llvq-so llvq-w-static"><div class="llvq-so-stage">{_svg(first, last)}</div>'
            f'<div class="llvq-w-table"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></div>"
        )


def _svg(first: int, last: int) -> str:
    """A quarter of the onion: an arc for each shell with one dot for each bit of its count."""
    parts = []
    for m, n in enumerate(counts("leech")):
        if m < 2:
            continue
        r, chosen = 56 * (2 * m) ** 0.5, " chosen" if first <= m <= last else ""
        parts.append(
            f'<path class="arc{chosen}" d="M{20 + r:.1f} 380A{r:.1f} {r:.1f} 0 0 0 20 {380 - r:.1f}"/>'
        )
        bits = round(math.log2(n))
        for k in range(bits):
            angle = math.pi / 2 * (k + 0.5) / bits
            at = f'cx="{20 + r * math.cos(angle):.1f}" cy="{380 - r * math.sin(angle):.1f}"'
            parts.append(f'<circle class="bead{chosen}" {at} r="2.4"/>')
        if m in MARKED:
            parts.append(f'<text x="{20 + r:.1f}" y="395" text-anchor="middle">{m}</text>')
    alt = f"A quarter of an onion of shells; the shells {first} to {last} are chosen."
    return f'<svg viewBox="0 0 400 402" role="img" aria-label="{alt}">{"".join(parts)}</svg>'


MARKED = (2, 3, 4, 6, 9, 13, 19)
"""Shells with a number in the picture."""
