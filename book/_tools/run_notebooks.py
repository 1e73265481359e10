"""Runs the notebooks from their files, each in a kernel of its own: what the weekly workflow does.

    python book/_tools/run_notebooks.py [NAME ...] [--seconds BUDGET]

The book's build executes the same cells with the pinned packages; this is for other ones. Outputs are thrown away. Exit
status 1: a notebook raised an error or took longer than its budget; the others run all the same.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run(path: Path, seconds: float) -> str:
    """Execute one notebook in its folder; the reason if it failed, otherwise nothing."""
    book = nbformat.read(path, as_version=4)
    begun = time.monotonic()
    client = NotebookClient(
        book, timeout=int(seconds), kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return str(error)
    took = time.monotonic() - begun
    return f"{took:.0f} s are over the budget of {seconds:.0f} s" if took > seconds else ""


def main() -> int:
    """Run what is named, or all; one line each."""
    parser = argparse.ArgumentParser(description="Run the notebooks from their files.")
    parser.add_argument("names", nargs="*", help="notebooks without suffix (all)")
    parser.add_argument("--seconds", type=float, default=1800, help="budget of a notebook (1800)")
    arguments = parser.parse_args()
    paths = [NOTEBOOKS / f"{name}.ipynb" for name in arguments.names] or sorted(NOTEBOOKS.glob("*.ipynb"))
    if missing := [path.stem for path in paths if not path.exists()]:
        parser.error(f"there is no notebook '{missing[0]}' in {NOTEBOOKS}")
    failed = 0
    for path in paths:
        begun = time.monotonic()
        reason = run(path, arguments.seconds)
        print(f"{path.stem:16s}{time.monotonic() - begun:7.0f} s  {reason or 'ran'}", flush=True)
        failed += bool(reason)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
