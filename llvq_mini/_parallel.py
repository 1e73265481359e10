"""How kernels are compiled, and running them over rows with threads.

Kernels are compiled with nogil=True and write each row of their output from the same row of their input, so any split
of the rows gives the same bytes; threads only change how long it takes.  A thread pool instead of Numba's parallel=True
keeps compile times low and leaves Ctrl-C working between chunks.

Libraries that split one sum over threads are another matter: OpenBLAS's Cholesky factorization, for one, gives other
last digits on two threads than on one. `one_thread_each` holds PyTorch and BLAS at one thread a call; whoever wants
more threads calls them on parts that do not depend on how many there are.
Tests: tests/test_search.py, tests/test_resume.py (thread independence).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within the block, every call into PyTorch or BLAS computes on the thread that makes it."""
    import threadpoolctl
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def give_back_memory() -> None:
    """Hand memory that was freed back to the system; glibc keeps much of what threads have freed otherwise.

    Where there is no glibc this does nothing: it bounds the resident size, never a result.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
