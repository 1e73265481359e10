"""Figures of arms over windows: means, standard errors, paired differences, one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import t


def summary(windows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over windows, standard errors of their means, and the windows themselves."""
    means = {}
    for key in ("excess", "kl", "top1_agreement", "nats_per_token", "baseline_nats_per_token"):
        values = np.array([window[key] for window in windows])
        means[key] = float(values.mean())
        if len(values) > 1:
            means[f"{key}_se"] = float(values.std(ddof=1) / len(values) ** 0.5)
    means["perplexity"] = float(np.exp(means["nats_per_token"]))
    means["baseline_perplexity"] = float(np.exp(means["baseline_nats_per_token"]))
    return {**means, "windows": windows}


def paired(one: dict[str, Any], other: dict[str, Any], key: str = "excess") -> tuple[float, float, float]:
    """Mean difference one - other and its 95 % interval (Student's t), over the windows that both have been run on:
    the first ones. ValueError if these are not the same.
    """
    pairs = list(zip(one["windows"], other["windows"], strict=False))
    if any(a["baseline_nats_per_token"] != b["baseline_nats_per_token"] for a, b in pairs):
        raise ValueError("Arguments 'one' and 'other' must be evaluated on the same windows; run one of them again")
    difference = np.array([a[key] - b[key] for a, b in pairs])
    mean = float(difference.mean())
    half = float(t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / len(difference) ** 0.5)
    return mean, mean - half, mean + half


def table(results: list[dict[str, Any]], reference: str) -> list[str]:
    """One line an arm, best first, with the paired difference to the reference arm."""
    by_name = {result["arm"]: result for result in results}
    lines = [
        f"{'arm':16s} {'bits':>6s} {'excess':>8s} {'s.e.':>6s} {'KL':>7s} {'top-1':>6s}  minus {reference}"
    ]
    for result in sorted(results, key=lambda item: item["excess"]):
        line = (
            f"{result['arm']:16s} {result['bits_per_weight']:6.3f} {result['excess']:8.4f} "
            f"{result.get('excess_se', float('nan')):6.4f} {result['kl']:7.4f} {result['top1_agreement']:6.1%}"
        )
        if reference in by_name and result["arm"] != reference and len(result["windows"]) > 1:
            mean, low, high = paired(result, by_name[reference])
            line += f"  {mean:+.4f} [{low:+.4f}, {high:+.4f}]"
        lines.append(line)
    return lines
