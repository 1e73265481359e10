"""Numbers in prose: read from the committed results, never typed.

In a chapter a number is the role {num}`SPEC`; book/_ext/llvq_book.py and notebooks.py replace it by its text. In a
README, which no tool renders, it stands between comments that hold the SPEC, and this file as a program writes it:

    <!-- num llm_arms/descent-1.json#excess:.2f -->0.76<!-- /num -->         python book/_tools/prose.py [--check]

SPEC is FILE#KEY/KEY/...:FORMAT, with FILE below benchmarks/results/. A KEY of a list is an index or FIELD=VALUE, joined
by commas where one pair does not decide; FORMAT is Python's, and a third part, :FACTOR, multiplies first.

What is left are numbers that look measured and are not: constants, cited facts, givens of an exercise. `measured` finds
them, and book/_tools/prose_numbers.txt lists each with its reason; whatever is not there fails tests/test_prose.py.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
REVIEWED = ROOT / "book" / "_tools" / "prose_numbers.txt"
READMES = ("README.md", "kernels/README.md")

ROLE = re.compile(r"\{num\}`([^`]+)`")
_MARKED = re.compile(r"(<!-- num (\S[^>]*?) -->)(.*?)(<!-- /num -->)", re.DOTALL)
_UNITS = r"dB|nats?|tokens/s|[mnµ]?s|[kMGT]?B|%|times|x|seconds?|minutes?|hours?|instructions|GHz|percent"
_LOOKS_MEASURED = re.compile(rf"(?<![\w.])(?<!\w-)(?:\d[\d,]*\.\d+|\d[\d,]*[  ]?(?:{_UNITS})(?![\w/]))")
_NOT_PROSE = (
    r"\A---\n.*?\n---\n",  # front matter
    r"^(`{3,})(?:\{code-cell\}|\{raw\}|\{math\}|\{bibliography\}|\w+)[^\n]*\n.*?^\1[ ]*$",  # code, formulas
    r"^`{3,}[^\n]*$",  # fences of the directives that stay
    r"\$\$.*?\$\$|\$[^$]+\$",
    r"\{[\w:]+\}`[^`]*`|`[^`]+`",  # roles, names
    r"<!-- num .*?<!-- /num -->|<!--.*?-->",
    r"\]\([^)]*\)|https?://\S+",  # targets of links
)


@cache
def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _step(value: Any, key: str, spec: str) -> Any:
    if isinstance(value, list) and "=" in key:
        pairs = [pair.split("=", 1) for pair in key.split(",")]
        rows = [row for row in value if all(str(row.get(field)) == wanted for field, wanted in pairs)]
        if len(rows) != 1:
            raise ValueError(
                f"Argument 'spec' must choose one entry, got {len(rows)} for '{key}' in '{spec}'"
            )
        return rows[0]
    try:
        return value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"Argument 'spec' must name a value of the file, got '{key}' in '{spec}'") from error


def resolve(spec: str) -> str:
    """The text of a number.

    Args:
        spec: FILE#KEY/KEY:FORMAT or FILE#KEY/KEY:FORMAT:FACTOR, as the head of this file says.

    Raises:
        ValueError: it has another form, or the file, a key or the number is not there.
    """
    found = re.fullmatch(r"([\w./-]+\.json)#([^:]+):([^:]+)(?::([^:]+))?", spec.strip())
    if not found or not (RESULTS / found[1]).is_file():
        raise ValueError(f"Argument 'spec' must be FILE#KEY/KEY:FORMAT with a file of results, got '{spec}'")
    value = _read(found[1])
    for key in found[2].split("/"):
        value = _step(value, key.strip(), spec)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"Argument 'spec' must lead to a number, got {type(value).__name__} for '{spec}'")
    return format(value * float(found[4]) if found[4] else value, found[3]).replace("-", "−")


def with_numbers(text: str) -> str:
    """A README with every marked number as its file has it."""
    return _MARKED.sub(lambda match: match[1] + resolve(match[2]) + match[4], text)


def prose_of(text: str) -> str:
    """Markdown with code, formulas, roles and targets of links blanked; lines stay where they are."""
    for pattern in _NOT_PROSE:
        text = re.sub(pattern, lambda m: "\n" * m[0].count("\n") or "¤", text, flags=re.DOTALL | re.MULTILINE)
    return text


def measured(text: str) -> list[tuple[int, str]]:
    """(line, number with its unit) of everything in the prose that looks like a measurement."""
    lines = prose_of(text).split("\n")
    return [
        (number, match[0].replace(" ", " "))
        for number, line in enumerate(lines, 1)
        for match in _LOOKS_MEASURED.finditer(line)
    ]


def reviewed() -> dict[tuple[str, str], str]:
    """(page or '*', number) -> why it may stand in prose."""
    found = {}
    for line in REVIEWED.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            page, number, why = (part.strip() for part in line.split("|", 2))
            found[page, number] = why
    return found


def main() -> int:
    """Write the numbers of the READMEs; with --check only compare. Status 1: they differ."""
    stale = []
    for name in READMES:
        text = (ROOT / name).read_text(encoding="utf-8")
        if with_numbers(text) != text:
            stale.append(name)
            if "--check" not in sys.argv[1:]:
                (ROOT / name).write_text(with_numbers(text), encoding="utf-8")
    print(f"{len(stale)} of {len(READMES)} READMEs {'differ' if '--check' in sys.argv[1:] else 'written'}")
    return bool(stale) and "--check" in sys.argv[1:]


if __name__ == "__main__":
    sys.exit(main())
