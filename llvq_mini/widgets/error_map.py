"""Where a quantized model lost what: a cell for every linear, by decoder layer and kind (error_map.js).

The map shows one of the figures that report.json has of each linear (layer.LayerReport):

    proxy_error   lost share of the output's energy, tr(E H E^T) / tr(W H W^T), on a logarithmic scale
    mse           lost share of the energy of the weights
    condition     condition number of the damped Hessian as it was factorized, on a logarithmic scale
    damping       what was added to the Hessian's diagonal, on a logarithmic scale

The colors are cividis of Nuñez, Anderton and Renslow (PLoS ONE 13, e0199239, 2018), even in lightness and alike for
color-blind eyes, at nine points with straight lines between.  A few values far below the others would take most of the
colors, so the scale begins at the third percentile, as in llm_plots.layers.  All values are in the page's table, too.

Not here: what a lost output costs in predictions.  Tests: tests/test_widgets_model.py,
tests/browser/test_widget_error_map.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from llvq_mini.widgets._base import Widget

MEASURES: tuple[tuple[str, str, bool], ...] = (
    ("proxy_error", "lost output", True),
    ("mse", "error of the weights", False),
    ("condition", "condition of the Hessian", True),
    ("damping", "damping", True),
)
"""Key, what readers see, whether the scale is logarithmic."""
COLORS = ("#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838")
_KEPT = ("rows", "columns", "bits_per_weight", "sqnr_db", "path", "seconds", *(key for key, _, _ in MEASURES))
_CELL_W, _CELL_H, _LEFT = 19, 26, 78


def cells(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The linears of a report with their layer (a number) and kind (the last part of the name), in its order.

    Raises ValueError if the report has no linears, or one of them lacks a figure.
    """
    found = []
    for entry in report.get("layers", []):
        numbers = [int(part) for part in str(entry.get("name", "")).split(".") if part.isdigit()]
        missing = [key for key in _KEPT if key not in entry]
        if not numbers or missing:
            raise ValueError(
                f"Argument 'report' must be a report of 'llvq quantize'; {entry.get('name')!r} lacks "
                f"{missing or 'the number of its layer'}."
            )
        kind = entry["name"].rpartition(".")[2]
        found.append({"layer": numbers[0], "kind": kind, **{key: entry[key] for key in _KEPT}})
    if not found:
        raise ValueError(
            "Argument 'report' must hold a list 'layers' of linears, as report.json does; got none."
        )
    return found


def scale(values: list[float], logarithmic: bool) -> tuple[float, float]:
    """The values at both ends of the colors: third percentile and maximum."""
    low, high = float(np.quantile(values, 0.03)), max(values)
    if logarithmic and low <= 0:  # damping may be zero; the logarithm begins at the least positive value
        low = min((value for value in values if value > 0), default=1.0)
    return low, max(low, high)


def color(value: float, low: float, high: float, logarithmic: bool) -> str:
    """The color of a value, #rrggbb; what is below the scale has its first color."""
    if high <= low or value <= low:
        return COLORS[0]
    part = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
    at = min(part, 1.0) * (len(COLORS) - 1)
    n = min(int(at), len(COLORS) - 2)
    ends = [[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in COLORS[n : n + 2]]
    mixed = [math.floor(a + (at - n) * (b - a) + 0.5) for a, b in zip(*ends, strict=True)]
    return "#" + "".join(f"{c:02x}" for c in mixed)


class ErrorMap(Widget):
    """A map of the linears of a quantized model, colored by a figure of the report that can be chosen.

    Args:
        report: what report.read_report gives, or llvq_mini.cached.quantized.
        measure: the figure shown at first: 'proxy_error', 'mse', 'condition' or 'damping'.

    Raises:
        ValueError: `report` is no report of a quantization, or `measure` is unknown.
    """

    name = "error_map"

    def __init__(self, report: Mapping[str, Any], measure: str = "proxy_error") -> None:
        keys = [key for key, _, _ in MEASURES]
        if measure not in keys:
            raise ValueError(f"Argument 'measure' must be one of {keys}, got {measure!r}.")
        found = cells(report)
        paths = list(dict.fromkeys(cell["path"] for cell in found))
        worst = max(range(len(found)), key=lambda n: found[n][measure])
        super().__init__(
            cells=[{**cell, "path": paths.index(cell["path"])} for cell in found],
            paths=paths,
            kinds=list(dict.fromkeys(cell["kind"] for cell in found)),
            measures=[[key, text, log, *scale([c[key] for c in found], log)] for key, text, log in MEASURES],
            colors=list(COLORS),
            measure=measure,
            cell=worst,
        )

    def __repr__(self) -> str:
        return f"ErrorMap({len(self.state['cells'])} linears, {self.state['measure']!r})"

    def static_html(self) -> str:
        """The map of the chosen figure, and for each kind of linear its least, mean and largest value."""
        key, text, log, low, high = next(m for m in self.state["measures"] if m[0] == self.state["measure"])
        body = "".join(self._row(kind, key) for kind in self.state["kinds"])
        columns = ("linear", "least", "geometric mean", "largest", "in layer")
        head = "".join(f'<th scope="col">{name}</th>' for name in columns)
        caption = f"<caption>{text.capitalize()}, by kind of linear</caption>"
        return (
            '<div class="llvq-w llvq-em llvq-w-static">'
            f'<div class="llvq-w-plot">{self._svg(key, text, log, low, high)}</div>'
            f'<div class="llvq-w-table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
            "</div></div>"
        )

    def _row(self, kind: str, key: str) -> str:
        own = [cell for cell in self.state["cells"] if cell["kind"] == kind]
        values = np.array([cell[key] for cell in own], dtype=float)
        mean = math.exp(np.log(values).mean()) if (values > 0).all() else 0.0
        worst = own[int(values.argmax())]["layer"]
        shown = (f"{values.min():.3g}", f"{mean:.3g}", f"{values.max():.3g}", worst)
        return f'<tr><th scope="row">{kind}</th>{"".join(f"<td>{value}</td>" for value in shown)}</tr>'

    def _svg(self, key: str, text: str, log: bool, low: float, high: float) -> str:
        kinds, found = self.state["kinds"], self.state["cells"]
        layers = 1 + max(cell["layer"] for cell in found)
        parts = []
        for cell in found:
            x, y = _LEFT + _CELL_W * cell["layer"], _CELL_H * kinds.index(cell["kind"])
            fill = color(cell[key], low, high, log)
            parts.append(
                f'<rect x="{x}" y="{y}" width="{_CELL_W - 1}" height="{_CELL_H - 1}" fill="{fill}"/>'
            )
        for n, kind in enumerate(kinds):
            parts.append(f'<text x="{_LEFT - 6}" y="{_CELL_H * n + 17}" text-anchor="end">{kind}</text>')
        bottom = _CELL_H * len(kinds) + 14
        for layer in range(0, layers, 5):
            x = _LEFT + _CELL_W * layer + _CELL_W / 2
            parts.append(f'<text x="{x}" y="{bottom}" text-anchor="middle">{layer}</text>')
        width = _LEFT + _CELL_W * layers
        label = f"{text} of {len(found)} linears, from {low:.3g} (dark) to {high:.3g} (light)."
        parts.append(f'<text class="muted" x="{_LEFT}" y="{bottom + 16}">decoder layer; {label}</text>')
        return (
            f'<svg viewBox="0 0 {width} {bottom + 22}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        )
