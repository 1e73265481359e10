"""How kernels are compiled, and running them over rows with threads.

Kernels are compiled with nogil=True and write each row of their output from the same row of their input, so any split
of the rows gives the same bytes; threads only change how long it takes.  A thread pool instead of Numba's parallel=True
keeps compile times low and leaves Ctrl-C working between chunks.  Tests: tests/test_search.py (thread independence).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

KERNEL: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
"""Options of every numba.njit: no global lock while running, compiled once per machine, IEEE arithmetic in order."""

CHUNK = 2048
"""Rows a kernel call; a few milliseconds of work."""


def default_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over_rows(
    kernel: Callable[[slice], None], rows: int, threads: int | None = None, chunk: int = CHUNK
) -> None:
    """Call kernel(slice) for slices of `chunk` rows that cover 0 ... rows-1.

    threads: None means every processor at hand.
    """
    count = default_threads() if threads is None else threads
    if count < 1:
        raise ValueError(
            f"Argument 'threads' must be at least 1 (or None for all processors), got {threads}."
        )
    slices = [slice(start, min(start + chunk, rows)) for start in range(0, rows, chunk)]
    if count == 1 or len(slices) <= 1:
        for part in slices:
            kernel(part)
        return
    with ThreadPoolExecutor(min(count, len(slices))) as pool:
        for _ in pool.map(kernel, slices):  # consuming the results re-raises an exception of a worker here
            pass
