"""The exact search on 24 numbers of one's own, one step at a time (search_trace.js).

The search is `search.nearest_direction` without its haste: the same targets and groups of shells, the same radii, the
same order, in float64.  A step is one of

    target        a target t x for a group of shells, and the squared radius R2 within which everything will be listed
    coset         all even or all odd vectors dismissed, since S - sum |q_i| >= R2
    pair          one of eight pairs of cosets g dismissed, since S - sum_o max |W_o| >= R2, or opened: its 64 cells
                  (k1, k2), the words of the open cells, and the words that cost less than R2
    point         a lattice point within R2: better than the best, no better, or on none of the asked shells
    certificate   the radius that a better point could have, and whether everything within it is known

After a better point R2 shrinks to what the certificate needs.  `trace` exists twice, here in plain floats and in
JavaScript, in the same order of operations, so that both give the same steps to the last bit;
tests/test_widgets_compute.py compares them with each other and with `search` and `reference`.

Not here: the speed (_listing.py has it), and the proof (chapter "Searching exactly").  Tests:
tests/test_widgets_compute.py, tests/browser/test_widget_search_trace.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from llvq_mini import golay, search, shells
from llvq_mini._listing import FIRST_RADIUS2, RADIUS2_STEP, SLACK
from llvq_mini.widgets._base import Widget

SHELL = 12
LIMIT = 99.0
Step = dict[str, Any]
_WORDS = golay.WORDS.tolist()
_FLIPS = [[1 - 2 * (int(word) >> i & 1) for i in range(8)] for word in golay.HAMMING_INVERTED[::2]]
PRESETS: tuple[tuple[str, list[float]], ...] = (
    ("one coordinate, a deep hole", [3.0, *[0.0] * 23]),
    ("all equal", [1.0] * 24),
    ("an octad", [float(bit) for bit in golay.to_bits(golay.of_weight(8)[0])]),
    ("two coordinates", [5.0, 2.0, *[0.0] * 22]),
)


def _scaled(x: list[float]) -> tuple[list[float], float] | None:
    """The block as the library scales it, by a power of two, and its length; None for zero."""
    exponent = math.frexp(max(abs(c) for c in x))[1]
    unit = [math.ldexp(c, -exponent) for c in x]
    total = 0.0
    for c in unit:
        total += c * c
    return (unit, math.sqrt(total)) if total else None


def _hadamard8(v: list[float]) -> list[float]:
    for step in (1, 2, 4):
        for i in range(8):
            if not i & step:
                v[i], v[i + step] = v[i] + v[i + step], v[i] - v[i + step]
    return v


class _Coset:
    """One parity e at a target: nearest values for both bits, S, and for eight pairs g transforms and bound."""

    def __init__(self, y: list[float], e: int) -> None:
        self.values: tuple[list[int], list[int]] = [], []
        q, self.total = [], 0.0
        for c in y:
            r = 4 * math.floor((c - e) / 4 + 0.5)
            d = c - e - r
            u = abs(d)
            self.values[0].append(r + e)
            self.values[1].append(r + e + (-2 if d < 0 else 2))
            q.append(2 * u - 2)
            self.total += u * u - 2 * u + 2
        self.bound = self.total
        for c in q:
            self.bound -= abs(c)
        self.w = [
            [_hadamard8([s * c for s, c in zip(f, q[o : o + 8], strict=True)]) for o in (0, 8, 16)]
            for f in _FLIPS
        ]
        self.bounds = []
        for w in self.w:
            peaks = [max(map(abs, row)) for row in w]
            self.bounds.append(self.total - peaks[0] - peaks[1] - peaks[2])


def _walk(
    y: list[float], start: list[int], cost: float, radius: Callable[[], float]
) -> Iterator[tuple[list[int], float]]:
    """Every point of a word within a radius that may shrink meanwhile: (point, squared distance)."""
    moves = []
    for i, c in enumerate(start):
        for h in (1, -1, 2, -2, 3, -3):
            extra = 16 * h * h - 8 * h * (y[i] - c)
            if cost + extra < radius():
                moves.append((extra, i, h))
    moves.sort(key=lambda move: move[0])
    used: set[int] = set()
    v = list(start)

    def deeper(at: int, paid: float) -> Iterator[tuple[list[int], float]]:
        yield list(v), paid
        for n in range(at, len(moves)):
            extra, i, h = moves[n]
            if paid + extra >= radius():
                return
            if i not in used:
                used.add(i)
                v[i] += 4 * h
                yield from deeper(n + 1, paid + extra)
                v[i] -= 4 * h
                used.remove(i)

    yield from deeper(0, cost)


class _Search:
    """The state of one search: the steps so far, the best point and the radius."""

    def __init__(self, unit: list[float], length: float, max_shell: int) -> None:
        self.unit, self.length = unit, length
        self.groups = search.groups(max_shell)
        self.most = 16 * max_shell
        self.steps: list[Step] = []
        self.best: list[int] | None = None
        self.score, self.norm, self.radius2 = 0.0, 0, 0.0

    def needed(self, group: search.Group) -> float:
        """The squared radius within which whatever beats the best must lie."""
        b = self.score / self.length
        near, far = 4 * math.sqrt(group.low) - group.t * b, 4 * math.sqrt(group.high) - group.t * b
        return group.t * group.t * (1 - b * b) + max(near * near, far * far) + SLACK

    def consider(self, group: search.Group, v: list[int], paid: float) -> None:
        """A lattice point within the radius, by the library's rule of decision."""
        norm = sum(c * c for c in v)
        dot = 0.0
        for a, c in zip(self.unit, v, strict=True):
            dot += a * c
        score = dot / math.sqrt(norm) if norm else 0.0
        inside = 32 <= norm <= self.most
        better = inside and (self.best is None or (score, -norm, v) > (self.score, -self.norm, self.best))
        if better:
            self.best, self.score, self.norm = v, score, norm
            self.radius2 = min(self.radius2, self.needed(group))
        verdict = "better" if better else "worse" if inside else "outside"
        cosine = score / self.length
        self.steps.append(
            {
                "kind": "point",
                "v": v,
                "shell": norm // 16,
                "distance": paid,
                "cosine": cosine,
                "verdict": verdict,
            }
        )

    def open(self, group: search.Group, y: list[float], e: int, coset: _Coset, g: int) -> None:
        """A pair of cosets: dismissed, or its cells, their words and their points."""
        bound, w = coset.bounds[g], coset.w[g]
        pair: Step = {"kind": "pair", "e": e, "g": g, "bound": bound, "open": bound < self.radius2}
        pair |= {"cells": 0, "words": 0, "near": 0}
        self.steps.append(pair)
        for cell in range(64 if pair["open"] else 0):
            k1, k2 = cell >> 3, cell & 7
            parts = w[0][k1], w[1][k2], w[2][k1 ^ k2]
            if coset.total - abs(parts[0]) - abs(parts[1]) - abs(parts[2]) >= self.radius2:
                continue
            pair["cells"] += 1
            pair["words"] += 8
            for p in range(8):
                bits = p & 1, p >> 1 & 1, p >> 2
                cost = coset.total
                for bit, part in zip(bits, parts, strict=True):
                    cost += -part if bit else part
                if cost >= self.radius2:
                    continue
                pair["near"] += 1
                flip = bits[0] ^ bits[1] ^ bits[2]
                word = _WORDS[2 * g + flip << 8 | 2 * k1 + (bits[0] ^ flip) << 4 | 2 * k2 + (bits[1] ^ flip)]
                start = [coset.values[word >> i & 1][i] for i in range(24)]
                for v, paid in _walk(y, start, cost, lambda: self.radius2):
                    if (sum(v) - 4 * e) % 8 == 0:
                        self.consider(group, v, paid)

    def run(self) -> None:
        """All groups, each until its certificate holds."""
        for number, group in enumerate(self.groups):
            y = [group.t / self.length * c for c in self.unit]
            cosets = _Coset(y, 0), _Coset(y, 1)
            listed = FIRST_RADIUS2 if self.best is None else min(FIRST_RADIUS2, self.needed(group))
            while True:
                self.radius2 = listed
                self.steps.append({"kind": "target", "group": number, "radius2": listed})
                for e, coset in enumerate(cosets):
                    if coset.bound >= self.radius2:
                        self.steps.append({"kind": "coset", "e": e, "bound": coset.bound})
                    else:
                        for g in range(8):
                            self.open(group, y, e, coset, g)
                needed = None if self.best is None else self.needed(group)
                holds = needed is not None and needed <= listed
                self.steps.append(
                    {
                        "kind": "certificate",
                        "group": number,
                        "listed": listed,
                        "needed": needed,
                        "holds": holds,
                    }
                )
                if holds:
                    break
                listed += RADIUS2_STEP


def trace(x: ArrayLike, max_shell: int = SHELL) -> tuple[list[Step], list[int] | None]:
    """The steps of the search and the point it ends at.

    Parameters
    ----------
    x : (24,) float64, finite.  max_shell : 2 ... 31; the point is on shells 2 ... max_shell.

    Returns
    -------
    steps (see the module) and search.nearest_direction(x)[0]; no steps and None for a block of zeros.
    """
    block = _scaled(np.asarray(x, dtype=np.float64).tolist())
    if block is None:
        return [], None
    found = _Search(*block, max_shell)
    found.run()
    return found.steps, found.best


class SearchTrace(Widget):
    """24 numbers to edit, and the search for the nearest direction among the shells 2 ... 12, step by step.

    Args:
        x: the block at first, 24 numbers of magnitude up to 99; without it a Gaussian one, always the same.
        step: the step shown at first; -1 for the first certificate.

    Raises:
        ValueError: `x` has another shape, or a number is out of range.
    """

    name = "search_trace"

    def __init__(self, x: ArrayLike | None = None, step: int = -1) -> None:
        start = np.random.default_rng(7).normal(size=24).round(2) if x is None else x
        block = np.asarray(start, dtype=np.float64)
        if block.shape != (24,) or not (np.abs(block) <= LIMIT).all():
            raise ValueError(f"Argument 'x' must be 24 numbers between -99 and 99, got {block.tolist()!r}.")
        super().__init__(
            x=block.tolist(),
            step=int(step),
            groups=[group._asdict() for group in search.groups(SHELL)],
            total=f"{shells.ball_size(SHELL):,}",
            hamming=golay.HAMMING.tolist(),
            inverted=golay.HAMMING_INVERTED.tolist(),
            first=FIRST_RADIUS2,
            more=RADIUS2_STEP,
            slack=SLACK,
            presets=[
                ["the first block", block.tolist()],
                *([name, list(values)] for name, values in PRESETS),
            ],
        )

    def __repr__(self) -> str:
        return f"SearchTrace({self.state['x']})"

    def static_html(self) -> str:
        """The block, the point found, and the work of each group of shells."""
        steps, best = trace(self.state["x"])
        rows = "".join(
            _row(group, own) for group, own in zip(search.groups(SHELL), _by_group(steps), strict=False)
        )
        columns = ("shells", "target", "listed R²", "needed R²", "pairs open", "words", "points")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        caption = f"<caption>The work of the search among {self.state['total']} points</caption>"
        return (
            '<div class="llvq-w llvq-st llvq-w-static">'
            f'<div class="llvq-st-picture">{_svg(self.state["x"], best)}</div>'
            f'<div class="llvq-w-table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
            "</div></div>"
        )


def _by_group(steps: list[Step]) -> list[list[Step]]:
    """The steps of each group of shells, all its rounds."""
    found: list[list[Step]] = []
    for step in steps:
        if step["kind"] == "target" and step["group"] == len(found):
            found.append([])
        found[-1].append(step)
    return found


def _row(group: search.Group, steps: list[Step]) -> str:
    """One group as a table row."""
    pairs = [step for step in steps if step["kind"] == "pair"]
    looked = len(pairs) + 8 * sum(step["kind"] == "coset" for step in steps)
    proof = steps[-1]
    cells = (
        f"{group.t:.2f}",
        f"{proof['listed']:.2f}",
        f"{proof['needed']:.2f} ✓",
        f"{sum(step['open'] for step in pairs)} of {looked}",
        sum(step["words"] for step in pairs),
        sum(step["kind"] == "point" for step in steps),
    )
    inside = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{group.low}–{group.high}</th>{inside}</tr>'


def _svg(x: list[float], best: list[int] | None) -> str:
    """The numbers in six columns of four, numbered downwards, with the coordinates of the point found below them."""
    parts = []
    for i, value in enumerate(x):
        left, top = 54 * (i >> 2) + 9 * (i >> 3) + 3, 54 * (i & 3) + 3
        parts.append(f'<rect class="place f{i >> 3}" x="{left}" y="{top}" width="48" height="48" rx="8"/>')
        parts.append(
            f'<text class="muted" x="{left + 24}" y="{top + 19}" text-anchor="middle">{value:g}</text>'
        )
        shown = "·" if best is None else str(best[i]).replace("-", "−")
        parts.append(f'<text class="best" x="{left + 24}" y="{top + 39}" text-anchor="middle">{shown}</text>')
    label = f"24 numbers in six columns of four; the nearest lattice direction is {best}."
    return f'<svg viewBox="0 0 348 222" role="img" aria-label="{label}">{"".join(parts)}</svg>'
