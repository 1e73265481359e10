"""Distortion against bitrate: the data and the static picture of the explorer distortion_bitrate.js.

The data are the file that the benchmark writes, benchmarks/results/rd_gaussian.json:

    meta    command, machine, python, numpy, numba, commit, date
    points  family, name, rate (bits a number), mse, stderr, blocks, table_bytes, encode_blocks_per_s, ...
    limits  rate, shannon = 2^(-2 rate), floor24 (a bound on every 24-dimensional code of that rate, or null)

The picture shows the same points on a logarithmic axis, and a table of all of them with

    SQNR = -10 log10 D,    gap = 10 log10 (D / 2^(-2R))  dB.

No number is written into this module or into the JavaScript. Tests: tests/test_widgets.py.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llvq_mini.errors import LLVQError
from llvq_mini.widgets._base import Widget

_POINT = ("family", "name", "rate", "mse")
_LIMIT = ("rate", "shannon", "floor24")
_DISC = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 370, 56, 10, 42


def gap_db(mse: float, rate: float) -> float:
    """Distance of a distortion to Shannon's limit 2^(-2 rate), in dB."""
    return 10 * math.log10(mse / 2 ** (-2 * rate))


class DistortionBitrate(Widget):
    """The explorer. Make it a cell's last line.

    Args:
        data: path of the benchmark's JSON, or its content.
        rate: the rate at which the slider starts, bits a number.
        view: "distortion" or "gap".

    Raises:
        LLVQError: the file is missing or is not such a file.
        ValueError: `view` is another word.
    """

    name = "distortion_bitrate"

    def __init__(
        self, data: str | Path | Mapping[str, Any], rate: float = 2.0, view: str = "distortion"
    ) -> None:
        if view not in ("distortion", "gap"):
            raise ValueError(f"Argument 'view' must be 'distortion' or 'gap', got {view!r}")
        super().__init__(data=_load(data), rate=float(rate), view=view, hidden=[])

    @property
    def data(self) -> dict[str, Any]:
        """The measured points, the limits and where they come from."""
        return self.state["data"]

    def __repr__(self) -> str:
        return f"DistortionBitrate({len(self.data['points'])} codes)"

    def static_html(self) -> str:
        """The plot as SVG and a table of all points."""
        return (
            '<div class="llvq-rd llvq-rd-static"><div class="llvq-rd-plot">'
            f'{_svg(self.data)}</div><div class="llvq-rd-table">{_table(self.data["points"])}</div></div>'
        )


def _load(data: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The benchmark's content, checked for the fields that the widget reads."""
    source = "argument 'data'"
    content: Any = data
    if isinstance(data, str | Path):
        source = str(data)
        try:
            content = json.loads(Path(data).read_text(encoding="utf-8"))
        except OSError as error:
            raise LLVQError(
                f"Cannot read {source} ({error.strerror}); run 'make bench' to make it"
            ) from error
        except ValueError as error:
            raise LLVQError(f"{source} is not JSON ({error}); run 'make bench' to make it anew") from error
    for key, fields in (("points", _POINT), ("limits", _LIMIT)):
        rows = content.get(key) if isinstance(content, Mapping) else None
        if not rows or any(field not in row for row in rows for field in fields):
            raise LLVQError(f"{source} must hold a list '{key}' with {', '.join(fields)}; run 'make bench'")
    return dict(content)


def _families(points: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(point["family"] for point in points))


def _svg(data: dict[str, Any]) -> str:
    """The plot: rate across, distortion upwards on a logarithmic axis."""
    points, limits = data["points"], sorted(data["limits"], key=lambda row: row["rate"])
    rates = [p["rate"] for p in points]
    left, right = math.floor(min(rates) * 4) / 4, math.ceil(max(rates) * 4) / 4
    high = math.log10(max(p["mse"] for p in points)) + 0.1
    low = -2 * right * math.log10(2) - 0.05

    def x(rate: float) -> float:
        return _LEFT + (rate - left) / (right - left) * (_WIDTH - _LEFT - 10)

    def y(mse: float) -> float:
        return _TOP + (high - math.log10(mse)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_axes(x, y, left, right, low, high)]
    for key, css in (("shannon", "limit"), ("floor24", "floor")):
        line = [(x(r["rate"]), y(r[key])) for r in limits if r[key] and left <= r["rate"] <= right]
        parts.append(f'<polyline class="{css}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in line)}"/>')
    order = _families(points)
    for p in points:
        color = order.index(p["family"]) % 6
        place = f"translate({x(p['rate']):.1f} {y(p['mse']):.1f})"
        title = f"<title>{html.escape(p['name'])}</title>"
        parts.append(f'<path class="f{color}" d="{_DISC}" transform="{place}">{title}</path>')
    label = "Distortion of the measured codes against rate, with Shannon's limit; the table has the numbers."
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _axes(x: Any, y: Any, left: float, right: float, low: float, high: float) -> str:
    """Grid lines with their labels."""
    bottom, parts = _HEIGHT - _BOTTOM, []
    for half in range(math.ceil(left * 2), math.floor(right * 2) + 1):
        at = x(half / 2)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{half / 2:g}</text>')
    for exponent in range(math.floor(low), 1):
        for mantissa in (1, 2, 5):
            value = mantissa * 10.0**exponent
            if low <= math.log10(value) <= high:
                at, end = y(value), _WIDTH - 10
                parts.append(f'<line class="grid" x1="{_LEFT}" x2="{end}" y1="{at:.1f}" y2="{at:.1f}"/>')
                parts.append(f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    middle = (_LEFT + _WIDTH) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">rate (bits a number)</text>')
    at = f'x="13" y="{_HEIGHT / 2}" transform="rotate(-90 13 {_HEIGHT / 2})"'
    parts.append(f'<text {at} text-anchor="middle">distortion (MSE)</text>')
    return "".join(parts)


def _table(points: list[dict[str, Any]]) -> str:
    """All points, by rate and then by distortion."""
    rows = []
    for p in sorted(points, key=lambda p: (p["rate"], -p["mse"])):
        sqnr, gap = -10 * math.log10(p["mse"]), gap_db(p["mse"], p["rate"])
        cells = (f"{p['rate']:.3f}", f"{p['mse']:.5f}", f"{sqnr:.2f}", f"{gap:.2f}")
        name = f'<th scope="row">{html.escape(p["name"])}</th>'
        rows.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f'<th scope="col">{text}</th>' for text in ("code", "bits", "MSE", "SQNR dB", "gap dB"))
    caption = "<caption>All measured codes</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
