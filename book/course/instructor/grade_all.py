"""Grade many submissions: python grade_all.py SUBMISSIONS OUT [--hidden hidden]

SUBMISSIONS holds one folder or one zip for each student, with adapters.py and solution/ somewhere inside. Each is put
into a fresh copy of the problem set, so that changed tests or a changed grade.py have no effect; the hidden tests come
on top. OUT gets NAME.json for each student and grades.csv for all.

A submission is a program that you run. Do it under an account, or in a container, that may break.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def find(folder: Path) -> Path:
    """The folder with adapters.py and solution/ inside a submission; ValueError if there is not exactly one."""
    found = [path.parent for path in folder.rglob("adapters.py") if (path.parent / "solution").is_dir()]
    if len(found) != 1:
        raise ValueError(f"{len(found)} folders with adapters.py and solution/, there must be one")
    return found[0]


def prepare(submission: Path, pristine: Path, hidden: Path, target: Path) -> None:
    """A fresh problem set in `target` with the submission's code and the hidden tests."""
    shutil.copytree(pristine, target)
    shutil.rmtree(target / "solution")
    shutil.copytree(submission / "solution", target / "solution")
    shutil.copy(submission / "adapters.py", target)
    for path in hidden.glob("*.py"):
        shutil.copy(path, target / "tests")


def grade(path: Path, pristine: Path, hidden: Path, limit: float) -> dict[str, Any]:
    """The result of one submission, a folder or a zip."""
    spec = importlib.util.spec_from_file_location("grade", pristine / "grade.py")
    if spec is None or spec.loader is None:
        raise ValueError(f"no grade.py in {pristine}")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                archive.extractall(here / "zip")
            path = here / "zip"
        prepare(find(path), pristine, hidden, here / "set")
        return tool.summary(tool.run_tests(here / "set", here / "grade.json", None, limit))


def main() -> int:
    """Grade all; status 1 if a submission could not be graded."""
    parser = argparse.ArgumentParser(description="Grade a folder of submissions.")
    parser.add_argument("submissions", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--pristine", type=Path, default=HERE / "problem-set", help="the unchanged problem set"
    )
    parser.add_argument("--hidden", type=Path, default=HERE / "hidden", help="folder of hidden tests")
    parser.add_argument("--limit", type=float, default=600, help="seconds for each submission")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows, failed = [], 0
    for path in sorted(arguments.submissions.iterdir()):
        name = path.name if path.is_dir() else path.stem
        try:
            result = grade(path, arguments.pristine, arguments.hidden, arguments.limit)
        except (ValueError, RuntimeError, zipfile.BadZipFile) as error:
            print(f"{path.name}: not graded: {error}", file=sys.stderr)
            failed += 1
            continue
        (arguments.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        parts = {name: entry["earned"] for name, entry in result["problems"].items()}
        rows.append({"student": name, "total": result["earned"], "of": result["points"]} | parts)
        print(f"{name}: {result['earned']} of {result['points']}")
    if rows:
        with (arguments.out / "grades.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
