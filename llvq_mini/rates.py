"""Codes for the weights of language models: by rate, by name, and from the description in a file.

    1 bit a weight    shell
    1.5 bits          interlocked
    2 bits            tapered, interlocked, shape-gain, ball
    2.5 bits          interlocked
    3, 3.5, 4 bits    two-stage

All have blocks of 24.  Of several codes at one rate the first listed is the default; at 2 bits interlocked has a little
less error than tapered on Gaussian blocks (benchmarks/results/rd.md), takes longer to encode, and is no better in the
whole model (benchmarks/results/llm_arms).  Up to 2.5 bits a code is one lattice point; beyond, a second code takes what
the first one leaves, divided by a scale, and the two words lie end to end in 72, 84 or 96 bits (codes.py).

A file describes its codebooks by `spec()`, and `from_spec` makes them anew: these codes and no others, whatever a file
says, so that a decoder's tables are bounded by those of the largest shell cap.

Not here: rivals (baselines), codes whose rate varies from block to block.  Tests: tests/test_rates.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvq_mini import codebook
from llvq_mini.baselines.residual import Residual
from llvq_mini.codebook import Ball, Codebook, ShapeGain, SingleShell, Tapered
from llvq_mini.interlocked import CAPS_BY_BITS, Interlocked

TWO_STAGE_SCALES = {
    72: (1.0392076247912059, 0.27069591525051695),
    84: (1.0749094694941363, 0.2697315004197699),
    96: (1.0520309530709775, 0.27432922138766647),
}
"""Scales of the two stages by bits a block, as `Residual` fits them in a minute each."""
_LONGEST_NAME = 100


def interlocked(bits: int) -> Interlocked:
    """The interlocked code of 36, 48 or 60 bits."""
    return Interlocked(CAPS_BY_BITS[bits])


def two_stage(bits: int) -> Residual:
    """The interlocked 48-bit code and, for what it leaves, shell 3 (72 bits), the ball of shells <= 6 (84) or again
    the interlocked code (96)."""
    first = Interlocked()
    second: Codebook = SingleShell(3) if bits == 72 else Ball(6) if bits == 84 else Interlocked()
    return Residual([first, second], TWO_STAGE_SCALES[bits], f"Leech two-stage, {bits} bits")


CODEBOOKS: dict[str, dict[float, Callable[[], Codebook]]] = {
    "tapered": {2.0: Tapered},
    "interlocked": {1.5: lambda: interlocked(36), 2.0: lambda: interlocked(48), 2.5: lambda: interlocked(60)},
    "shape-gain": {2.0: lambda: ShapeGain(max_shell=12, gain_bits=1)},
    "ball": {2.0: lambda: Ball(max_shell=13)},
    "shell": {1.0: lambda: SingleShell(3)},
    "two-stage": {3.0: lambda: two_stage(72), 3.5: lambda: two_stage(84), 4.0: lambda: two_stage(96)},
}
"""Codebooks by the name that the command line takes, and by bits a weight."""


def rates() -> list[float]:
    """Every rate that some codebook has, ascending."""
    return sorted({bits for versions in CODEBOOKS.values() for bits in versions})


def default(bits: float) -> str:
    """The name of the default codebook at a rate; ValueError if none has it."""
    for name, versions in CODEBOOKS.items():
        if bits in versions:
            return name
    raise ValueError(f"Argument 'bits' must be {_listed(rates())}, got {bits:g}; no codebook has this rate")


def make(name: str, bits: float) -> Codebook:
    """A codebook by name and bits a weight; ValueError that says which there are."""
    if name not in CODEBOOKS:
        raise ValueError(f"Argument 'codebook' must be one of {sorted(CODEBOOKS)}, got '{name}'")
    if bits not in CODEBOOKS[name]:
        others = [other for other, versions in CODEBOOKS.items() if bits in versions]
        remedy = f"codebooks with {bits:g}: {', '.join(others)}" if others else f"rates: {_listed(rates())}"
        raise ValueError(
            f"Argument 'bits' must be {_listed(CODEBOOKS[name])} for the codebook '{name}', got {bits:g}; {remedy}"
        )
    return CODEBOOKS[name][bits]()


def _listed(numbers: Any) -> str:
    """2 or 1.5, 2 or 2.5"""
    *most, last = [f"{number:g}" for number in numbers]
    return f"{', '.join(most)} or {last}" if most else last


def from_spec(spec: Any) -> Codebook:
    """The codebook that a file describes; ValueError for anything but a Leech code or two of them in stages."""
    if not isinstance(spec, dict) or spec.get("kind") != "residual":
        return codebook.from_spec(spec, {"interlocked": Interlocked})
    stages, name = spec.get("stages"), spec.get("name")
    if (
        spec.keys() != {"kind", "stages", "scales", "name"}
        or not isinstance(stages, list)
        or len(stages) != 2
        or not isinstance(name, str)
        or len(name) > _LONGEST_NAME
        or not isinstance(spec["scales"], list)
    ):
        raise ValueError(
            f"Argument 'spec' of kind 'residual' must have two stages, their scales and a name, got {spec!r:.200}."
        )
    made = [codebook.from_spec(stage, {"interlocked": Interlocked}) for stage in stages]
    try:
        return Residual(made, spec["scales"], name)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"Argument 'spec' does not describe a residual codebook: {error}.") from error
