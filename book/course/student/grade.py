"""Grade this folder: python grade.py [--week N] [--json grade.json] [--limit SECONDS]

Runs the tests in a process of its own, prints the points of every problem and the first reason why some are missing,
and writes all of it to grade.json. A run that exceeds the limit is stopped; what was done until then counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent


def run_tests(root: Path, report: Path, week: int | None, limit: float) -> list[dict[str, Any]]:
    """Run the tests of `root` and return one entry a test; RuntimeError with pytest's words if none was found."""
    pattern = f"test_*week{week or ''}*.py"
    files = [str(path) for path in sorted((root / "tests").glob(pattern))]
    if not files:
        raise RuntimeError(f"No tests {pattern} in {root / 'tests'}.")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={root}"]
    command += ["-c", os.devnull, *files]
    environment = os.environ | {"LLVQ_GRADE": str(report), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, timeout=limit, capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        said = f"stopped after {limit:g} s"
        print(f"The run was {said}; tests that had not run count as failed.", file=sys.stderr)
    if not report.exists():
        raise RuntimeError(f"The tests could not be started:\n{said[-2000:]}")
    return json.loads(report.read_text(encoding="utf-8"))


def summary(tests: list[dict[str, Any]]) -> dict[str, Any]:
    """Points by problem and in total."""
    problems: dict[str, dict[str, Any]] = {}
    for test in tests:
        entry = problems.setdefault(test["problem"], {"earned": 0, "points": 0, "first_reason": ""})
        entry["earned"] += test["earned"]
        entry["points"] += test["points"]
        if test["earned"] < test["points"] and not entry["first_reason"]:
            entry["first_reason"] = f"{test['test'].split('::')[-1]}: {test['message']}"
    total = {key: sum(entry[key] for entry in problems.values()) for key in ("earned", "points")}
    return total | {"problems": dict(sorted(problems.items())), "tests": tests}


def table(result: dict[str, Any]) -> str:
    """The result for reading."""
    lines = ["problem   points   first reason for missing ones"]
    for name, entry in result["problems"].items():
        lines.append(
            f"{name:8s} {entry['earned']:3d}/{entry['points']:<3d}   {entry['first_reason']}".rstrip()
        )
    return "\n".join([*lines, f"{'total':8s} {result['earned']:3d}/{result['points']:<3d}"])


def main() -> int:
    """Grade; status 0 if all points were earned."""
    parser = argparse.ArgumentParser(description="Run the tests and count points.")
    parser.add_argument("--week", type=int, choices=(1, 2, 3, 4), help="only one week")
    parser.add_argument("--json", type=Path, default=ROOT / "grade.json", help="where the report goes")
    parser.add_argument("--limit", type=float, default=600, help="seconds for the whole run (default 600)")
    arguments = parser.parse_args()
    result = summary(run_tests(ROOT, arguments.json.resolve(), arguments.week, arguments.limit))
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    return int(result["earned"] < result["points"])


if __name__ == "__main__":
    sys.exit(main())
