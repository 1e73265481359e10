"""Squares against hexagons: the first gain of rounding numbers together, seen in a second (squares_hexagons.js).

The same points fall on two codes of the plane with one point on each unit of area, hence equal bits.  Each is rounded
to the nearest point of the code; the mean squared error a number is shown as it settles:

    squares     each number rounded for itself     1/12 = 0.0833
    hexagons    two numbers together               5 / (36 sqrt 3) = 0.0802

Below stands what 24 numbers together give: the second moment of the Leech lattice (second_moment.py), which no plane
can show.  A dot is the darker the larger its error: dark are the corners, and a hexagon has less of them.  Random
points would need thousands until the difference shows; these are scattered evenly instead, point n at the fractional
parts of 1/2 + n/g and 1/2 + n/g^2 with the plastic number g^3 = g + 1.

Codes and errors are those of plane_codes.py, which is the laboratory to this first look.  Tests:
tests/test_widgets_model.py, tests/browser/test_widget_squares_hexagons.py.
"""

from __future__ import annotations

import math
from typing import Any

from llvq_mini.widgets import plane_codes
from llvq_mini.widgets._base import Widget

LABELS = {"Z2": "squares, one at a time", "A2": "hexagons, two at a time"}
PLASTIC = 1.3247179572447460
LIMIT = 1 / (2 * math.pi * math.e)
STEP = 200


def dots(key: str, count: int) -> list[tuple[plane_codes.Point, float]]:
    """The first points, uniform in some periods of the code, and their errors."""
    found = plane_codes.code(key)
    width, height = (math.floor(4 / side) * side for side in found.period)
    steps = [((0.5 + n / PLASTIC) % 1, (0.5 + n / PLASTIC**2) % 1) for n in range(1, count + 1)]
    places = [(width * (a - 0.5), height * (b - 0.5)) for a, b in steps]
    return [(x, plane_codes.nearest(found, x)[1]) for x in places]


class SquaresHexagons(Widget):
    """Points falling on square and hexagonal cells, and their mean errors beside that of the Leech lattice.

    Args:
        leech: second moment of the Leech lattice, as benchmarks/results/second_moments.json has it.
        drops: points at first, 1 ... 2000.

    Raises:
        ValueError: a number out of range.
    """

    name = "squares_hexagons"

    def __init__(self, leech: float, drops: int = STEP) -> None:
        if not LIMIT < leech < 1 / 12:
            raise ValueError(f"Argument 'leech' must be between {LIMIT:.4f} and 1/12, got {leech!r}.")
        if drops not in range(1, 2001):
            raise ValueError(f"Argument 'drops' must be in 1 ... 2000, got {drops!r}.")
        codes = []
        for key, label in LABELS.items():
            found = plane_codes.code(key)
            corners = plane_codes.cell(found, 0)
            area, moment = plane_codes.area_and_moment(corners)
            cell, offsets = [list(corner) for corner in corners], [list(offset) for offset in found.offsets]
            places = {"period": list(found.period), "offsets": offsets, "cell": cell}
            codes.append({"label": label, **places, "moment": moment / area})
        super().__init__(codes=codes, leech=float(leech), plastic=PLASTIC, drops=int(drops), step=STEP)

    def __repr__(self) -> str:
        return f"SquaresHexagons({self.state['leech']}, {self.state['drops']})"

    def static_html(self) -> str:
        """Both planes with their points, and the table of the means."""
        panels, rows = [], []
        for key, record in zip(LABELS, self.state["codes"], strict=True):
            fallen = dots(key, self.state["drops"])
            mean = sum(error for _, error in fallen) / len(fallen)
            panels.append(
                f"<figure>{_svg(record, fallen)}<figcaption>{record['label'].split(',')[0]}</figcaption></figure>"
            )
            rows.append((record["label"], f"{mean:.4f}", record["moment"]))
        rows.append(("Leech lattice, 24 at a time", "–", self.state["leech"]))
        body = "".join(
            f'<tr><th scope="row">{label}</th><td>{mean}</td><td>{moment:.4f}</td>'
            f"<td>{100 * (1 - 12 * moment):.1f} %</td></tr>"
            for label, mean, moment in rows
        )
        columns = ("rounding", f"mean of {self.state['drops']} points", "in the long run", "less error")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        caption = "<caption>Mean squared error a number, at equal bits</caption>"
        return (
            f'<div class="llvq-w llvq-sh llvq-w-static"><div class="llvq-sh-panels">{"".join(panels)}</div>'
            f'<div class="llvq-w-table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
            "</div></div>"
        )


def _svg(record: dict[str, Any], fallen: list[tuple[plane_codes.Point, float]]) -> str:
    """Cells and points in the window -2 ... 2."""
    worst = max(error for _, error in fallen)
    parts = []
    for a, b in record["offsets"]:
        for i in range(-3, 4):
            for j in range(-3, 4):
                at = a + i * record["period"][0], b + j * record["period"][1]
                if max(abs(at[0]), abs(at[1])) < 2.9:
                    path = "L".join(
                        f"{50 * (at[0] + u):.1f} {-50 * (at[1] + v):.1f}" for u, v in record["cell"]
                    )
                    parts.append(f'<path class="cell" d="M{path}Z"/>')
    for (x, y), error in fallen:
        shade = 0.12 + 0.88 * error / worst
        parts.append(
            f'<circle class="dot" cx="{50 * x:.1f}" cy="{-50 * y:.1f}" r="2" fill-opacity="{shade:.2f}"/>'
        )
    label = "Points on cells; those near the corners are dark."
    return f'<svg viewBox="-100 -100 200 200" role="img" aria-label="{label}">{"".join(parts)}</svg>'
