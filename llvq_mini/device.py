"""Where codebooks search: on the CPU, or on a GPU with the same points.

    with searching_on("cuda"):
        codes = book.encode(x)          # the codes of the CPU, bit for bit

Encoding is nearly all search for directions; only that moves, a wave of blocks at a time (feedback.py), and the gain,
the index and the bits stay where they are.  Both sides decide between points by one formula in float64 and one tie rule
(search.py), so a run may begin on one device and end on the other.  Searches for points of a ball (codebook.Ball) have
no kernel.  Tests: tests/test_device.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from llvq_mini import gpu, search
from llvq_mini.codebook import Ball, Codebook

_NAME = re.compile(r"cuda(?::(\d+))?")


@contextmanager
def searching(machine: gpu.Machine) -> Iterator[None]:
    """Meanwhile every search for a direction in this process runs on a machine; threads take turns."""
    turn = Lock()

    def directions(blocks: NDArray, max_shell: int, min_shell: int) -> NDArray[np.int8]:
        with turn:
            return machine.get(gpu.nearest_direction(machine.put(blocks), machine, max_shell, min_shell))

    with search.directions_by(directions):
        yield


def searching_on(device: str, book: Codebook | None = None) -> AbstractContextManager[None]:
    """The context for a device by name: 'cpu', 'cuda' or 'cuda:N'.

    ValueError for another name, or if `book` would not use the device; LLVQError where there is no such GPU.
    """
    if device == "cpu":
        return nullcontext()
    found = _NAME.fullmatch(device)
    if not found:
        raise ValueError(f"Argument 'device' must be 'cpu', 'cuda' or 'cuda:N', got '{device}'")
    if isinstance(book, Ball):
        raise ValueError(
            f"Argument 'device' must be 'cpu' for '{book.name}', got '{device}': it searches points of a ball, "
            "and the kernel finds directions only"
        )
    return searching(gpu.cuda(int(found[1] or 0)))
