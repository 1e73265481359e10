"""The figure of the rate-distortion comparison, drawn from rd.json alone.

    gaps(found)     gap to Shannon's limit in dB over the rate, the main families on the Gaussian source
    label(point)    the name of a measured code, short enough for a line of a table

A gap takes the slope of 6.02 dB a bit out of the picture: 10 log10(D 4^R).  Families of one kind share a color and
differ in marker and dash; lines between codes only guide the eye.  For the fixed-rate Leech codes the best one at every
rate is drawn, whichever family it is of; codes that another beats at the same or a lower rate are left out.

Not here: measuring (bench.py), the explorer (widgets).  Tests: tests/test_bench.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llvq_mini import plots
from llvq_mini.widgets.distortion_bitrate import gap_db, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["best", "gap_db", "gaps", "label"]

_LINES: tuple[tuple[str, tuple[str, ...], str, str, Any], ...] = (
    ("Lloyd-Max scalar", ("Lloyd-Max scalar",), "red", "s", "-"),
    ("entropy-coded scalar", ("entropy-coded scalar",), "red", "v", ":"),
    ("pyramid", ("pyramid",), "purple", "P", "-."),
    ("E8 ball, E8P12", ("E8 ball", "E8P12"), "orange", "D", "--"),
    ("Leech, best fixed rate", ("Leech shell", "Leech ball", "Leech shape-gain", "Leech tapered", "Leech interlocked",
                                "Leech two-stage", "Leech Voronoi"), "blue", "o", ""),
    ("Leech, entropy-coded", ("Leech entropy-coded",), "blue", "^", ":"),
    ("trellis L = 12", ("trellis L = 12",), "green", "<", "--"),
    ("trellis L = 16", ("trellis L = 16",), "green", ">", "-"),
)  # fmt: skip
"""Label, families, color, marker and dash of every line; no dash where the codes are too many to join."""


def best(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points with a smaller error than all those of the same or a lower rate, by rate."""
    chosen: list[dict[str, Any]] = []
    for p in sorted(points, key=lambda p: (round(p["rate"], 3), p["mse"])):
        if not chosen or p["mse"] < chosen[-1]["mse"]:
            chosen.append(p)
    return chosen


def gaps(found: dict[str, Any]) -> Figure:
    """The figure; found: the content of rd.json."""
    fig, ax = plots.figure(width=7.6, height=4.6)
    for text, families, color, marker, dash in _LINES:
        points = [p for p in found["points"] if p["source"] == "gaussian" and p["family"] in families]
        line = [(p["rate"], gap_db(p["mse"], p["rate"])) for p in best(points) if p["rate"] <= 4.001]
        ax.plot(
            *zip(*line, strict=True), color=plots.COLORS[color], marker=marker, linestyle=dash, label=text
        )
    floors = [(row["rate"], gap_db(row["floor24"], row["rate"])) for row in found["limits"]]
    ax.plot(
        *zip(*floors, strict=True), color=plots.COLORS["muted"], linewidth=1.2, label="floor of 24 dimensions"
    )
    ax.set(xlabel="rate (bits a weight)", ylabel="gap to Shannon's limit (dB)", ylim=(0, None))
    ax.legend(ncols=2, loc="upper left")
    return fig
