"""Progress on stderr, and a Ctrl-C that waits for the unit at work.

On a terminal a bar for every stage with the time that is left, otherwise a line for every tenth. Within `stoppable`
the first SIGINT or SIGTERM only takes a note, and the next report of progress raises KeyboardInterrupt: reports come
when something is finished and on the disk. A second signal raises at once.

What this file does not do: measure, or decide what a unit is. Tests: ``tests/test_resume.py``, ``tests/test_cli.py``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline import Step


@contextmanager
def shown() -> Iterator[Step]:
    """A function to call with (stage, units done, units in all)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line
        return
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def step(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done)

        yield step


def _line(stage: str, done: int, total: int) -> None:
    if 10 * done // total != 10 * (done - 1) // total:
        print(f"{stage} {100 * done // total} %", file=sys.stderr, flush=True)


@contextmanager
def stoppable(step: Step) -> Iterator[Step]:
    """`step`, made to raise KeyboardInterrupt after a signal; for the main thread."""
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)
        print("llvq: finishing the unit at work; once more stops at once", file=sys.stderr, flush=True)

    def stopping(stage: str, done: int, total: int) -> None:
        step(stage, done, total)
        if noted:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
