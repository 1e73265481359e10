"""Kernels of one's own: compiled, run and checked, on the CPU by the host shim and on a GPU where there is one.

    check(code, (numbers, np.int32(n), Out((n,), "float32")), want, grid=2, block=64)

`code` is CUDA C++ with one kernel `extern "C" __global__ void NAME(...)`; it sees what kernels/padded.cuh declares.  It
runs three times on the CPU, with the threads of a block upwards, downwards and shuffled, because a result that depends
on the order is no result.  For book/lab_kernels.md.  Tests: tests/test_lab.py.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llvq_mini import gpu, host
from llvq_mini.errors import LLVQError

OPEN = "// your lines"
"""What a task has where code is to be written."""
_KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(')
_HEAD = '#include "padded.cuh"\n'


@dataclass(frozen=True)
class Out:
    """An argument that the kernel fills; what it holds before is garbage."""

    shape: tuple[int, ...]
    dtype: str


def name_of(code: str) -> str:
    """The kernel in a source; ValueError unless there is one."""
    names = _KERNEL.findall(code)
    if len(names) != 1:
        raise ValueError(
            f"Argument 'code' must hold one 'extern \"C\" __global__ void' kernel, got {len(names)}."
        )
    return str(names[0])


def machines(code: str) -> Iterator[tuple[str, gpu.Machine]]:
    """(what it is, a machine that knows the kernel in `code`): the CPU in three orders of threads, then a GPU.

    LLVQError with what the compiler says.
    """
    name = name_of(code)
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(shutil.copytree(gpu.sources(), Path(folder) / "kernels"))
        (sources / "yours.cu").write_text(_HEAD + code)
        driver = f'#include "host_scheduler.h"\n#include "yours.cu"\nHOST_KERNEL({name})\n'
        (sources / "host_driver.cpp").write_text(driver)
        library = host.build(Path(folder), sources)
    for order, label in enumerate(("upwards", "downwards", "shuffled")):
        yield f"CPU, threads {label}", host.HostMachine(library, order)
    try:
        machine = gpu.cuda()
    except LLVQError:
        return
    machine.add(_HEAD + code, name)
    yield "GPU", machine


def run(
    machine: gpu.Machine, name: str, args: tuple[Any, ...], grid: int, block: int, shared: int = 0
) -> NDArray:
    """Launch a kernel on NumPy arrays, scalars and one `Out`; what it wrote there."""
    placed, out = [], None
    for value in args:
        if isinstance(value, Out):
            out = machine.empty(value.shape, value.dtype)
            placed.append(out)
        else:
            placed.append(machine.put(value) if isinstance(value, np.ndarray) else value)
    machine.launch(name, grid, block, shared, tuple(placed))
    return machine.get(out)


def check(
    code: str, args: tuple[Any, ...], want: NDArray, grid: int, block: int, shared: int = 0, near: float = 0
) -> bool:
    """Run the kernel in `code` everywhere and say whether it writes `want`; False also while a line is `OPEN`.

    near: how far a number may be off, in units of the largest.
    """
    if OPEN in code:
        print(f"Not yet: write code in place of '{OPEN}'.")
        return False
    right = True
    try:
        for label, machine in machines(code):
            got = run(machine, name_of(code), args, grid, block, shared).view(want.dtype)
            wrong = np.argwhere(~(np.abs(got - want) <= near * np.abs(want).max()) if near else got != want)
            if len(wrong):
                at = tuple(wrong[0].tolist())
                print(
                    f"{label}: {len(wrong)} of {want.size} wrong, first at {at}: {got[at]}, should be {want[at]}"
                )
            else:
                print(f"{label}: right")
            right &= not len(wrong)
    except (LLVQError, RuntimeError) as error:
        print(error)
        return False
    return right
