"""What the compiler makes of the CUDA kernels: registers, spills, shared memory and instructions, for every card.

    python benchmarks/kernel_sizes.py        # half a minute, no GPU; writes benchmarks/results/kernel_sizes.json

These are facts about machine code, not timings.  Registers, stack and spills come from the assembler's report
through NVRTC (the pinned package nvidia-cuda-nvrtc-cu12); instructions are counted by `nvdisasm` where that tool is on
the path (package nvidia-cuda-nvdisasm) and left out otherwise.  A kernel's instructions include its prologue, and
loops count once.  `ceilings` puts the work beside an H100's limits: what a block of 24 weights may cost if decoding is
to keep up with memory.

Prints a table for people and, as the last line, the same in JSON.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from nvrtc import compile_source

from llvq_mini import gpu

RESULT = Path(__file__).parent / "results" / "kernel_sizes.json"
CAPABILITIES = (75, 80, 89, 90, 100)
REPORT = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)
H100 = {"bandwidth": 3.35e12, "multiprocessors": 132, "schedulers": 4, "clock": 1.7e9}


def ceilings() -> dict[str, float]:
    """Instructions that a thread may spend on a block of 24 weights (48 bits) on an H100, by speed over fp16."""
    slots = H100["multiprocessors"] * H100["schedulers"] * H100["clock"] * 32  # thread instructions a second
    blocks = H100["bandwidth"] / 6
    at_full_bandwidth = slots / blocks
    return {
        "8 x fp16": at_full_bandwidth,
        "5 x fp16": at_full_bandwidth * 8 / 5,
        "3 x fp16": at_full_bandwidth * 8 / 3,
    }


def instructions(cubin: bytes) -> dict[str, int]:
    """Instructions of every function of a cubin, padding left out; empty without nvdisasm."""
    tool = shutil.which("nvdisasm")
    if tool is None:
        return {}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "-c", file.name], capture_output=True, text=True, check=True).stdout
    counts: dict[str, int] = {}
    for section in text.split(".section\t.text.")[1:]:
        name = section.split(",", 1)[0]
        lines = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(.*);", section, re.MULTILINE)
        counts[name] = sum(1 for line in lines if not line.startswith("NOP"))
    return counts


def main() -> None:
    rows: list[dict[str, Any]] = []
    for file in sorted(set(gpu.FILES.values())):
        for capability in CAPABILITIES:
            cubin, log = compile_source(gpu.sources() / file, capability, "--ptxas-options=-v")
            counts = instructions(cubin)
            for found in REPORT.finditer(log):
                row = {"kernel": found["name"], "file": file, "sm": capability, "registers": int(found["registers"]),
                       "stack_bytes": int(found["stack"]), "spilled_bytes": int(found["stores"])}  # fmt: skip
                if counts:
                    row["instructions"] = counts[found["name"]]
                rows.append(row)
                print("  ".join(f"{key} {value}" for key, value in row.items() if key != "file"))
    result = {
        "meta": {"command": "python benchmarks/kernel_sizes.py", "compiler": "NVRTC 12.9.86"},
        "search_shared_bytes_a_warp": gpu.SEARCH_BYTES,
        "instructions_a_block_allowed_on_h100": ceilings(),
        "kernels": rows,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
