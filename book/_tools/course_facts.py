"""Numbers for slides and quizzes, read from the committed results or computed by the library.

    mse(family, bits)      mean squared error on Gaussian noise (rd.json), the best of a family at a rate
    gap(family, bits)      the same in dB above Shannon's limit, one decimal
    arm(name, key)         a result of llm_arms; weights() of the model there
    floor_gap, cosets_within   computed by the library
    moment(lattice)        a measured second moment

An unknown name is an error: a slide cannot show a number that nobody measured.  Tests: tests/test_course_slides.py.
"""

from __future__ import annotations

import json
from functools import cache
from math import log10
from pathlib import Path
from typing import Any

from llvq_mini import arms, limits

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


@cache
def result(name: str) -> Any:
    """A file of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def check() -> None:
    """The files that slides read are there and have the expected keys."""
    for name in ("rd", "second_moments", "kernel_sizes"):
        result(name)


def mse(family: str, bits: float) -> float:
    """Smallest mean squared error of a family at a rate, Gaussian source; KeyError if none was measured."""
    found = [
        point["mse"]
        for point in result("rd")["points"]
        if point["source"] == "gaussian" and point["family"] == family and abs(point["rate"] - bits) < 0.005
    ]
    if not found:
        raise KeyError(f"rd.json has no '{family}' at {bits} bits")
    return float(min(found))


def gap(family: str, bits: float) -> str:
    """dB above Shannon's limit."""
    return f"{10 * log10(mse(family, bits) * 4**bits):.2f}"


@cache
def found_arms() -> dict[str, Any]:
    """All results of llm_arms by name."""
    return arms.read(RESULTS / "llm_arms")


def arm(name: str, key: str, digits: int = 2) -> str:
    """A number of an arm."""
    return f"{found_arms()[name][key]:.{digits}f}"


def weights() -> int:
    """Weights of the embedded model that are quantized."""
    return int(found_arms()["leech-2"]["weights"])


def floor_gap(dimension: int, bits: int) -> str:
    """The floor of blocks of so many numbers and bits, in dB above Shannon's limit."""
    return f"{10 * log10(limits.floor(dimension, bits) / limits.shannon(bits / dimension)):.2f}"


def cosets_within(squared: float) -> int:
    """Cosets of the slide's block that have a point within this squared distance."""
    import course_lattice_figures  # which imports this module

    return int((course_lattice_figures.cosets()[0] <= squared).sum())


def moment(lattice: str) -> str:
    """Measured normalized second moment."""
    row = next(row for row in result("second_moments")["rows"] if row["lattice"] == lattice)
    return f"{row['moment']:.5f}"
