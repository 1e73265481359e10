"""Grading: points for tests, time limits, and a report that is complete even when a run is cut off.

    @points("2.3", 4)             the test is worth 4 points of problem 2.3; every test must say so
    @points("2.3", 4, seconds=20) and may run for 20 seconds instead of 10

The environment variable LLVQ_GRADE names a JSON file that is written at the start and after every test: a test that
never ends costs its own points and nothing else (grade.py kills such a run and reads the file).

llvq_mini cannot be imported here: the course is about writing it yourself.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 10.0
_found: dict[str, dict[str, Any]] = {}


class _NoShortcut:
    """An import hook that refuses the library."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse llvq_mini and its modules, leave all others to the usual finders."""
        if name.split(".")[0] == "llvq_mini":
            raise ImportError("llvq_mini is switched off here: write it yourself, with NumPy")


def points(problem: str, value: int, seconds: float = SECONDS) -> pytest.MarkDecorator:
    """Mark of a test: problem it belongs to, points, time limit."""
    return pytest.mark.points(problem=problem, value=value, seconds=seconds)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, make the submission importable, switch the library off."""
    config.addinivalue_line("markers", "points(problem, value, seconds): what a test is worth")
    sys.path.insert(0, str(ROOT))
    sys.meta_path.insert(0, _NoShortcut())


def _mark(item: pytest.Item) -> dict[str, Any]:
    mark = item.get_closest_marker("points")
    if mark is None:
        raise pytest.UsageError(f"{item.nodeid} has no points; decorate it with @points(problem, value)")
    return dict(mark.kwargs)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Enter every test with no points earned."""
    for item in items:
        mark = _mark(item)
        name = item.nodeid.split("/")[-1]
        _found[item.nodeid] = {
            "test": name, "problem": mark["problem"], "points": mark["value"], "earned": 0,
            "seconds": 0.0, "message": "did not run",
        }  # fmt: skip
    _write()


def _write() -> None:
    path = os.environ.get("LLVQ_GRADE")
    if path:
        fresh = Path(path + ".new")
        fresh.write_text(json.dumps(list(_found.values()), indent=1), encoding="utf-8")
        os.replace(fresh, path)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Fail what runs longer. The alarm repeats, in case the submission catches everything."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(signum: int, frame: Any) -> None:
        pytest.fail(f"took longer than {seconds:g} s; is there an endless loop?", pytrace=False)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Any:
    """Imports of the submission happen in fixtures; they are limited, too."""
    with _limited(_mark(item)["seconds"]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """The test itself."""
    with _limited(_mark(item)["seconds"]):
        return (yield)


def _message(call: pytest.CallInfo[Any]) -> str:
    if call.excinfo is None:
        return ""
    if call.excinfo.errisinstance(NotImplementedError):
        return "not written yet"
    lines = call.excinfo.exconly(tryshort=True).strip().split("\n")
    return lines[0].removeprefix("AssertionError: ").removeprefix("Failed: ")[:300]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Enter the outcome of a test."""
    report = yield
    entry = _found[item.nodeid]
    if call.when == "call" or (call.when == "setup" and not report.passed):
        entry["seconds"] = round(call.duration, 3)
        entry["earned"] = entry["points"] if report.passed else 0
        entry["message"] = _message(call)
        _write()
    return report


@pytest.fixture(scope="session")
def adapters() -> Any:
    """Your adapters.py."""
    return importlib.import_module("adapters")


@pytest.fixture
def clock() -> Callable[[], float]:
    """clock(): CPU seconds since the test began."""
    start = time.process_time()
    return lambda: time.process_time() - start
