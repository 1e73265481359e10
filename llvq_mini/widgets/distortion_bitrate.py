"""Distortion against bitrate: the data and the static picture of the explorer distortion_bitrate.js.

The data are the file that ``llvq bench rd`` writes, benchmarks/results/rd.json:

    meta    command, machine, python, numpy, numba, commit, date
    points  family, name, source, rate (bits a number), variable_rate, mse, stderr, dim, table_bytes, ...
    limits  rate, shannon = 2^(-2 rate), floor24 (a bound on every 24-dimensional code of that rate, or null)

A source of unit variance and differential entropy h (bits) has Shannon's lower bound

    D(R) >= factor 2^(-2R),    factor = 2^(2h) / (2 pi e),

which is the limit itself for the Gaussian (factor 1) and a bound, approached at high rates, for the Laplacian (e / pi)
and the uniform source (6 / (pi e)).  Nothing of the kind is known for weights: there the Gaussian curve is drawn as
a reference, and called one.  With D_0 the curve of the source,

    SQNR = -10 log10 D,    gap = 10 log10 (D / D_0)  dB.

No measured number is written into this module or into the JavaScript.  Source of the bound: T. Berger, Rate Distortion
Theory (1971), chapter 4.  Tests: tests/test_widgets.py, tests/browser/test_widget.py.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llvq_mini.errors import LLVQError
from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._looks import looks

_POINT = ("family", "name", "source", "rate", "variable_rate", "mse", "stderr", "dim", "table_bytes",
          "encode_blocks_per_s", "decode_blocks_per_s")  # fmt: skip
_LIMIT = ("rate", "shannon", "floor24")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 370, 56, 10, 42

#: source -> (label, factor of its curve, what the curve is, its name in a sentence)
SOURCES: dict[str, tuple[str, float, str, str]] = {
    "gaussian": ("Gaussian", 1.0, "limit", "Shannon's limit"),
    "laplacian": ("Laplacian", math.e / math.pi, "bound", "Shannon's lower bound"),
    "uniform": ("uniform", 6 / (math.pi * math.e), "bound", "Shannon's lower bound"),
    "weights": ("weights of a model", 1.0, "reference", "the Gaussian limit"),
    "rotated": ("the same weights, rotated", 1.0, "reference", "the Gaussian limit"),
}


def gap_db(mse: float, rate: float, factor: float = 1.0) -> float:
    """Distance of a distortion to the curve factor 2^(-2 rate), in dB."""
    return 10 * math.log10(mse / (factor * 2 ** (-2 * rate)))


def label(point: dict[str, Any]) -> str:
    """The name of a point of rd.json in at most 34 characters, with plurals where they belong.

    Shells of a shape-gain code lose their word, and a list of caps becomes its first and last one.
    """
    name = re.sub(r"(tapered|interlocked) shape-gain", r"\1", point["name"])
    name = name.replace("shape-gain, shells", "shape-gain").replace(" lattice, entropy", " entropy")
    name = re.sub(r"caps (\d+), .*?(\d+)$", r"caps \1-\2", name)
    name = name.replace(" 0 gain bits", " no gain bit").replace(" 1 gain bits", " 1 gain bit")
    return re.sub(r"\b(?!1 )([\d.]+) bit\b", r"\1 bits", name)


class DistortionBitrate(Widget):
    """The explorer: source, rate, families on and off, each code's numbers by pointing or by arrow keys.

    Args:
        data: path of the benchmark's JSON, or its content.
        source: "gaussian", "laplacian", "uniform", "weights" or "rotated", as far as measured.
        rate: the rate at which the slider starts, bits a number.
        view: "distortion" or "gap".
        hidden: families switched off at first; None for all but the main ones.

    Attribute data: the whole content, with where it comes from.

    Raises:
        LLVQError: the file is missing or is not such a file.
        ValueError: `source` or `hidden` does not occur in the file, or `view` is another word.
    """

    name = "distortion_bitrate"

    def __init__(
        self,
        data: str | Path | Mapping[str, Any],
        source: str = "gaussian",
        rate: float = 2.0,
        view: str = "distortion",
        hidden: Iterable[str] | None = None,
    ) -> None:
        if view not in ("distortion", "gap"):
            raise ValueError(f"Argument 'view' must be 'distortion' or 'gap', got {view!r}.")
        content = load_results(data)
        measured = {p["source"] for p in content["points"]}
        names = [name for name in SOURCES if name in measured]
        if source not in names:
            raise ValueError(f"Argument 'source' must be one of {names}, got {source!r}.")
        families = looks(p["family"] for p in content["points"])
        known = [row["family"] for row in families]
        off = [row["family"] for row in families if not row["shown"]] if hidden is None else list(hidden)
        if set(off) - set(known):
            raise ValueError(f"Argument 'hidden' must hold families of {known}, got {off}.")
        keys = ("source", "label", "factor", "kind", "curve")
        self.data = content
        super().__init__(
            points=[{field: p[field] for field in _POINT} for p in content["points"]],
            limits=[{field: row[field] for field in _LIMIT} for row in content["limits"]],
            families=families,
            sources=[dict(zip(keys, (name, *SOURCES[name]), strict=True)) for name in names],
            source=source,
            rate=float(rate),
            view=view,
            hidden=off,
        )

    def __repr__(self) -> str:
        return f"DistortionBitrate({len(self.data['points'])} codes)"

    def static_html(self) -> str:
        """The plot of all codes on the source as SVG, its key, and a table."""
        source = self.state["source"]
        points = [p for p in self.data["points"] if p["source"] == source]
        families = [
            row for row in self.state["families"] if any(p["family"] == row["family"] for p in points)
        ]
        table = _table(points, SOURCES[source][1])
        return (
            '<div class="llvq-w llvq-rd llvq-w-static"><div class="llvq-w-plot">'
            f"{_svg(points, self.data['limits'], families, source)}</div>{_key(families)}"
            f"<details><summary>All {len(points)} measured codes as a table</summary>"
            f'<div class="llvq-w-table">{table}</div></details></div>'
        )


def load_results(data: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The benchmark's content, checked for the fields that the widgets read; names as `label` has them.

    Raises LLVQError: the file is missing, is not JSON, or lacks a field.
    """
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
    return {**content, "points": [{**p, "name": label(p)} for p in content["points"]]}


def _mark(look: dict[str, Any]) -> str:
    """Class and outline of a family's mark."""
    return f'class="mark f{look["color"]}{"" if look["filled"] else " hollow"}" d="{look["path"]}"'


def _svg(
    points: list[dict[str, Any]], limits: list[dict[str, Any]], families: list[dict[str, Any]], source: str
) -> str:
    """The plot: rate across, distortion upwards on a logarithmic axis."""
    rates = [p["rate"] for p in points] + [row["rate"] for row in limits]
    left, right = math.floor(min(rates) * 4 + 0.1) / 4, math.ceil(max(rates) * 4 - 0.1) / 4
    high = math.log10(max(p["mse"] for p in points)) + 0.1
    low = -2 * right * math.log10(2) - 0.2

    def x(rate: float) -> float:
        return _LEFT + (rate - left) / (right - left) * (_WIDTH - _LEFT - 10)

    def y(mse: float) -> float:
        return _TOP + (high - math.log10(mse)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    _, factor, kind, curve = SOURCES[source]
    lines = {kind: [(r / 8, factor * 4 ** (-r / 8)) for r in range(round(left * 8), round(right * 8) + 1)]}
    if kind == "limit":
        rows = sorted(limits, key=lambda row: row["rate"])
        lines["floor"] = [(r["rate"], r["floor24"]) for r in rows if r["floor24"]]
    parts = [_axes(x, y, left, right, low, high)]
    for css, line in lines.items():
        inside = [f"{x(r):.1f},{y(d):.1f}" for r, d in line if low <= math.log10(d) <= high]
        parts.append(f'<polyline class="{css}" points="{" ".join(inside)}"/>')
    look = {row["family"]: row for row in families}
    for p in points:
        place = f"translate({x(p['rate']):.1f} {y(p['mse']):.1f})"
        title = f"<title>{html.escape(p['name'])}</title>"
        parts.append(f'<path {_mark(look[p["family"]])} transform="{place}">{title}</path>')
    label = f"Distortion of the measured codes against rate, with {curve}; the table has the numbers."
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


def _key(families: list[dict[str, Any]]) -> str:
    """Which mark is which family."""
    icon = '<svg viewBox="-8 -8 16 16" class="llvq-rd-swatch" aria-hidden="true"><path {}/></svg>'
    entries = [f"<span>{icon.format(_mark(row))}{html.escape(row['family'])}</span>" for row in families]
    return f'<p class="llvq-w-key">{"".join(entries)}</p>'


def _table(points: list[dict[str, Any]], factor: float) -> str:
    """All points, by rate and then by distortion."""
    rows = []
    for p in sorted(points, key=lambda p: (p["rate"], -p["mse"])):
        sqnr, gap = -10 * math.log10(p["mse"]), gap_db(p["mse"], p["rate"], factor)
        cells = (f"{p['rate']:.3f}", f"{p['mse']:.5f}", f"{sqnr:.2f}", f"{gap:.2f}")
        name = f'<th scope="row">{html.escape(p["name"])}</th>'
        rows.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f'<th scope="col">{text}</th>' for text in ("code", "bits", "MSE", "SQNR dB", "gap dB"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
