"""Broken kernels for tests that must fail: a piece of a source replaced, and proofs tried in a process of their own."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from llvq_mini import gpu
from llvq_mini.host import HostMachine, build


def mutated(folder: Path, file: str, old: str, new: str, at: int | None = None):
    """The kernels with one piece of one source replaced, everywhere or at its occurrence `at`, compiled for the CPU."""
    shutil.copytree(gpu.sources(), folder / "kernels")
    path = folder / "kernels" / file
    text = path.read_text()
    assert old in text
    if at is None:
        path.write_text(text.replace(old, new))
    else:
        pieces = text.split(old)
        path.write_text(old.join(pieces[: at + 1]) + new + old.join(pieces[at + 1 :]))
    return build(folder, folder / "kernels")


def fails(machine: HostMachine, proof: Callable[[HostMachine], bool]) -> bool:
    """Whether a proof goes wrong: a wrong result, an error or a crash, hence a process of its own."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        signal.alarm(60)  # a broken kernel may run forever
        try:
            os._exit(0 if proof(machine) else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] != 0
