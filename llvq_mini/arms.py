"""Arms of a comparison: the same windows of text under several quantizers, and what can be said about them.

An arm is one method; its result is a JSON file with the measured bits a weight and, for every window of held-out text,
mean nats of the quantized and of the original model, their difference (excess), KL and top-1 agreement (evaluate.py).
benchmarks/llm_harness.py writes such files, the book reads them.

Texts differ more than methods do, so methods are compared window by window: with d_i the difference of two arms on
window i of n,
    mean(d) +- t(0.975, n - 1) sd(d) / sqrt(n)
is a 95 % interval (Student's t; windows are taken for independent, which neighbors from one article are not quite).
If it excludes zero the difference is called shown.

What this file does not do: measure, or draw (llm_plots.py). Tests: ``tests/test_arms.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import LLVQError

Result = dict[str, Any]
Interval = tuple[float, float, float]
"""Mean, lower and upper end."""

_KEYS = ("excess", "kl", "top1_agreement", "nats_per_token", "baseline_nats_per_token")


def summary(windows: list[Result]) -> Result:
    """Means over windows, standard errors of their means, and the windows themselves."""
    means = {}
    for key in _KEYS:
        values = np.array([window[key] for window in windows])
        means[key] = float(values.mean())
        if len(values) > 1:
            means[f"{key}_se"] = float(values.std(ddof=1) / len(values) ** 0.5)
    means["perplexity"] = float(np.exp(means["nats_per_token"]))
    means["baseline_perplexity"] = float(np.exp(means["baseline_nats_per_token"]))
    return {**means, "windows": windows}


def read(folder: str | Path) -> dict[str, Result]:
    """All results in a folder, {arm: result} by name; LLVQError for a file that is none."""
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            float(result["bits_per_weight"] + result["excess"] + result["windows"][0]["excess"])
            found[str(result["arm"])] = result
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise LLVQError(f"'{path}' is not the result of an arm ({error!r}); run the arm again") from error
    return found


def family(name: str) -> str:
    """An arm's name without its bits: gptq-3-sink -> gptq-sink."""
    return re.sub(r"-\d+(\.\d+)?(?=-|$)", "", name, count=1)


def nominal(result: Result) -> int:
    """The whole bits that an arm's measured rate stands for, its scales left out: 2.28 -> 2."""
    return int(result["bits_per_weight"] + 0.1)


def _interval(values: np.ndarray) -> Interval:
    from scipy.stats import t

    if len(values) < 2:
        raise ValueError(f"Argument 'windows' must hold at least two for an interval, got {len(values)}")
    mean = float(values.mean())
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return mean, mean - half, mean + half


def interval(result: Result, key: str = "excess") -> Interval:
    """Mean of an arm over its windows and its 95 % interval."""
    return _interval(np.array([window[key] for window in result["windows"]]))


def paired(one: Result, other: Result, key: str = "excess") -> Interval:
    """Mean difference one - other and its 95 % interval, over the windows that both were run on: the first ones.

    ValueError if the original model's figures show that the windows are not the same.
    """
    pairs = list(zip(one["windows"], other["windows"], strict=False))
    base = "baseline_nats_per_token"
    if not all(np.isclose(a[base], b[base], rtol=0, atol=1e-3) for a, b in pairs):
        raise ValueError(
            "Arguments 'one' and 'other' must be evaluated on the same windows; run one of them again"
        )
    return _interval(np.array([a[key] - b[key] for a, b in pairs]))


def verdicts(arms: Iterable[Result], reference: Result) -> dict[str, list[tuple[str, Interval]]]:
    """Arms other than the reference, as (name, difference), best first: "better", "undecided" or "worse" than it."""
    found: dict[str, list[tuple[str, Interval]]] = {"better": [], "undecided": [], "worse": []}
    pairs = [(item["arm"], paired(item, reference)) for item in arms if item["arm"] != reference["arm"]]
    for name, difference in sorted(pairs, key=lambda pair: pair[1][0]):
        shown = "better" if difference[2] < 0 else "worse" if difference[1] > 0 else "undecided"
        found[shown].append((name, difference))
    return found


def table(results: Sequence[Result], reference: str) -> list[str]:
    """One line an arm, best first: bits, windows, excess, KL, agreement, and the paired difference to the reference.

    Behind +- stands half of a 95 % interval.
    """
    by_name = {result["arm"]: result for result in results}
    lines = [
        f"{'arm':19s}{'bits':>6s}{'n':>3s}{'excess':>7s} +-    {'KL':>7s}{'top-1':>7s}  minus {reference}"
    ]
    for result in sorted(results, key=lambda item: item["excess"]):
        several = len(result["windows"]) > 1
        line = f"{result['arm']:19s}{result['bits_per_weight']:6.3f}{len(result['windows']):3d}{result['excess']:7.3f} "
        line += _half(interval(result)) if several else " " * 5
        line += f" {result['kl']:7.3f}{result['top1_agreement']:7.1%}"
        if reference in by_name and result["arm"] != reference and several:
            difference = paired(result, by_name[reference])
            line += f"  {difference[0]:+6.3f} {_half(difference)}"
        lines.append(line)
    return lines


def _half(found: Interval) -> str:
    """Half the width of an interval, five characters."""
    return f"{(found[2] - found[1]) / 2:.3f}"
