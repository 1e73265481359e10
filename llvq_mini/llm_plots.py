"""Figures about a quantized model, drawn from JSON alone.

    layers(report)            report.json: lost output, weight SQNR and rows of every linear, by decoder layer and kind
    windows(arms, names)      nats a token of the original and of some arms on every window of text
    rates(arms)               excess against measured bits of all methods (arms.py)
    changes(arms, reference)  what one change to the reference arm brings, with 95 % intervals

An arm that these tables do not know is drawn all the same, under its own name or description.

Not here: measuring, or tables.  Tests: tests/test_arms.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import plots
from .arms import Result, family, interval, paired
from .plots import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METHODS: dict[str, tuple[str, str, str, Any]] = {
    "rtn": ("round to nearest, groups of 64", "red", "s", "-"),
    "gptq": ("GPTQ, groups of 64", "red", "v", "--"),
    "gptq-sink": ("GPTQ, knowing the sink", "red", "^", ":"),
    "hqq": ("HQQ, groups of 64", "purple", "P", "-."),
    "llmcompressor-gptq": ("GPTQ of llmcompressor", "purple", "h", ""),
    "residual": ("residual k-means", "purple", "X", ""),
    "e8p": ("E8P, same feedback", "orange", "D", "--"),
    "trellis12": ("trellis L = 12, same feedback", "green", "<", "--"),
    "trellis16": ("trellis L = 16, same feedback", "green", ">", "-"),
    "leech": ("Leech, fixed rate", "blue", "o", "-"),
    "entropy": ("Leech, entropy-coded", "blue", "^", ":"),
    "tuned": ("Leech, scales fine-tuned", "blue", "*", ""),
}
"""Family of an arm -> label, color, marker, dash."""

_STEPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("rotation", (("no-rotation", "none"), ("both-rotations", "inputs and outputs"))),
    ("feedback", (("no-feedback", "none"), ("two-sided", "between rows, too"))),
    ("spherical", (
        ("norms-kept", "norms of blocks kept"),
        ("spherical", "kept and refitted"),
        ("spherical-gain-1", "one gain bit"),
        ("spherical-gain-2", "two gain bits"),
    )),
    ("gain", (
        ("gain-0", "no gain bit"),
        ("gain-1", "one gain bit"),
        ("gain-2", "two gain bits"),
        ("norm-gain", "one gain bit, of the norm"),
        ("interlocked", "interlocked spheres"),
    )),
    ("order", (("act-order", "by the diagonal"), ("greedy-order", "as feedback prefers"))),
    ("descent", (
        ("descent-1", "a pass after the sweep"),
        ("descent-3", "greedy order, three passes"),
        ("interlocked-descent", "interlocked spheres, order, a pass"),
    )),
    ("row scales", (("no-refit", "not refitted"),)),
    ("statistics", (
        ("plain", "first position not weighted"),
        ("fisher", "Fisher, all"),
        ("fisher-values", "Fisher, values"),
        ("damping-0.1", "damping 0.1"),
    )),
    ("rates", (("mixed", "mixed by predicted loss"),)),
    ("fine-tuning", (("tuned", "scales, by distillation"),)),
)  # fmt: skip
"""Steps of the method and the arms that change one of them, with what they change."""

_OTHER_RATES = {"bits"}
"""Families that are the reference method at another rate."""


def is_method(name: str) -> bool:
    """Whether an arm is a method at a rate (gptq-2, leech-3), not a change of the reference."""
    changes = {family(arm) for _, arms in _STEPS for arm, _ in arms} - {"tuned"}
    return family(name) in _OTHER_RATES or (family(name) != name and family(name) not in changes)


def _grid(report: dict[str, Any], key: str) -> tuple[list[str], np.ndarray]:
    """Kinds of linears and (kinds, decoder layers) values of a key, NaN where there is no such linear."""
    places = {}
    for layer in report["layers"]:
        index = next(int(part) for part in layer["name"].split(".") if part.isdigit())
        places[layer["name"].rpartition(".")[2], index] = layer[key]
    kinds = list(dict.fromkeys(kind for kind, _ in places))
    values = np.full((len(kinds), 1 + max(index for _, index in places)), np.nan)
    for (kind, index), value in places.items():
        values[kinds.index(kind), index] = value
    return kinds, values


def layers(report: dict[str, Any]) -> Figure:
    """Heat maps over decoder layers and kinds of linears: the proxy error on a logarithmic scale, and the SQNR."""
    from matplotlib.colors import LogNorm, Normalize

    fig, axes = plots.figure(2, 1, width=7.6, height=5.2, sharex=True)
    panels = (
        ("proxy_error", "lost share of the output's energy", LogNorm),
        ("sqnr_db", "SQNR of the weights, dB", Normalize),
    )
    for ax, (key, title, scale) in zip(axes, panels, strict=True):
        kinds, values = _grid(report, key)
        low = np.nanquantile(values, 0.03)  # a few far better ones would take all the colors
        high = np.nanmax(values)
        norm = scale(low, high)
        mesh = ax.pcolormesh(np.ma.masked_invalid(values), norm=norm, cmap="cividis")
        ax.set(title=title, yticks=np.arange(len(kinds)) + 0.5, yticklabels=kinds)
        ax.invert_yaxis()
        ax.grid(False)
        bar = fig.colorbar(mesh, ax=ax, pad=0.01, aspect=14, extend="min")
        if scale is LogNorm:
            bar.set_ticks(
                [tick for tick in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1) if low <= tick <= high]
            )
            bar.ax.yaxis.set_major_formatter("{x:g}")
            bar.ax.yaxis.set_minor_formatter("")
    count = values.shape[1]
    axes[-1].set(
        xlabel="decoder layer", xticks=np.arange(0, count, 5) + 0.5, xticklabels=np.arange(0, count, 5)
    )
    return fig


def windows(arms: dict[str, Result], names: Sequence[str]) -> Figure:
    """Nats a token on every window, for the original model and the named arms; windows by the original's nats."""
    fig, ax = plots.figure(height=3.4)
    base = np.array([window["baseline_nats_per_token"] for window in arms[names[0]]["windows"]])
    order = np.argsort(base)
    places = np.arange(1, len(base) + 1)
    ax.plot(places, base[order], label="original", color=COLORS["muted"], marker="s", linestyle="--")
    for name, style in zip(names, plots.STYLES, strict=False):
        nats = np.array([window["nats_per_token"] for window in arms[name]["windows"]])
        ax.plot(places, nats[order], label=name, **style)
    ax.set(xlabel="window of held-out text, easiest first", ylabel="nats a token")
    ax.legend(ncols=2)
    return fig


def rates(arms: dict[str, Result]) -> Figure:
    """Excess over measured bits a weight, one line a method, bars of 95 %; both axes as they are, excess in logs."""
    fig, ax = plots.figure(width=7.6, height=4.6)
    families: dict[str, list[Result]] = {}
    for name, result in arms.items():
        key = "leech" if family(name) in _OTHER_RATES else family(name)
        if is_method(name) or name == "tuned":
            families.setdefault(key, []).append(result)
    for key in [
        *(key for key in _METHODS if key in families),
        *(key for key in families if key not in _METHODS),
    ]:
        label, color, marker, dash = _METHODS.get(key, (key, "muted", "h", ":"))
        points = sorted(families[key], key=lambda item: item["bits_per_weight"])
        bounds = [interval(point) for point in points]
        means = np.array([mean for mean, _, _ in bounds])
        ax.errorbar(
            [point["bits_per_weight"] for point in points],
            means,
            [means - [low for _, low, _ in bounds], [high for _, _, high in bounds] - means],
            label=label,
            color=COLORS[color],
            marker=marker,
            linestyle=dash,
            markersize=9 if marker == "*" else None,
        )
    ax.set(xlabel="measured bits a weight", ylabel="excess, nats a token", yscale="log")
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    ax.set_yticks([tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= tick <= high])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set(xlim=(left - 0.05, right + 0.05), ylim=(low, high))
    ax.legend(loc="upper right", ncols=1 if len(families) < 6 else 2)
    return fig


def change_rows(arms: dict[str, Result], reference: str) -> list[tuple[str, str, tuple[float, float, float]]]:
    """(step, what is changed, paired difference to the reference) for every change that was measured."""
    known = [(step, name, text) for step, changed in _STEPS for name, text in changed]
    listed = {name for _, name, _ in known}
    rest = [name for name in arms if name not in listed and name != reference and not is_method(name)]
    known += [("other", name, str(arms[name].get("text", name))) for name in rest]
    return [
        (step, text + _unlike(arms[name], arms[reference]), paired(arms[name], arms[reference]))
        for step, name, text in known
        if name in arms
    ]


def _unlike(result: Result, reference: Result) -> str:
    """What else sets an arm apart from the reference: a rate that is not about the same, fewer windows."""
    bits, count = result["bits_per_weight"], len(result["windows"])
    notes = [f"{bits:.2f} bits"] if abs(bits - reference["bits_per_weight"]) > 0.03 else []
    notes += [f"{count} windows"] if count < len(reference["windows"]) else []
    return f" ({', '.join(notes)})" if notes else ""


def changes(arms: dict[str, Result], reference: str) -> Figure:
    """A dot for every change of one step, nats a token against the reference, with 95 % intervals."""
    rows = change_rows(arms, reference)
    if not rows:
        raise ValueError(
            f"Argument 'arms' must hold a change of '{reference}'; run benchmarks/llm_ablation.py"
        )
    fig, ax = plots.figure(width=7.6, height=1.3 + 0.3 * len(rows))
    ends = [end for _, _, (_, low, high) in rows for end in (low, high)]
    span = max(ends) - min(0.0, *ends)
    for place, (step, _, (mean, low, high)) in enumerate(rows):
        shown = low > 0 or high < 0
        color = COLORS["muted"] if not shown else COLORS["blue"] if mean < 0 else COLORS["orange"]
        marker = "o" if not shown else "<" if mean < 0 else ">"
        ax.errorbar(mean, place, xerr=[[mean - low], [high - mean]], color=color, marker=marker, capsize=3)
        end, aside, anchor = (low, -6, "right") if mean < 0 else (high, 6, "left")  # away from the line of zero
        ax.annotate(
            f"{mean:+.3f}",
            (end, place),
            xytext=(aside, 0),
            textcoords="offset points",
            ha=anchor,
            va="center",
            fontsize=9,
        )
        if place and rows[place - 1][0] != step:
            ax.axhline(place - 0.5, color=COLORS["grid"], linewidth=0.8)
    ax.axvline(0, color=COLORS["ink"], linewidth=1)
    ax.set(
        xlabel=f"excess less that of {reference}, nats a token",
        yticks=range(len(rows)),
        yticklabels=[f"{step}: {text}" for step, text, _ in rows],
        ylim=(len(rows) - 0.5, -0.5),
        xlim=(min(0.0, *ends) - 0.2 * span, max(0.0, *ends) + 0.18 * span),
    )
    ax.grid(False, axis="y")
    return fig
