"""What the compiler makes of the CUDA kernels: registers, spills and instructions, on a T4 and an H100.

    python benchmarks/kernel_sizes.py        # a minute, no GPU; writes benchmarks/results/kernel_sizes.json

These are facts about machine code, not timings.  Registers, stack and spills come from the assembler's report
through NVRTC (the pinned package nvidia-cuda-nvrtc-cu12); instructions are counted by `nvdisasm` where that tool is on
the path (package nvidia-cuda-nvdisasm) and left out otherwise.  A kernel's instructions include its prologue, and
loops count once; of a product, the instructions for one block are counted besides, and how many of them belong to the
units of integers, which start one only every other clock.  `ceilings` puts the work beside an H100's limits: what a
block of 24 weights may cost if decoding is to keep up with memory.

Prints a table for people and, as the last line, the same in JSON.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from nvrtc import compile_source

from llvq_mini import gpu

RESULT = Path(__file__).parent / "results" / "kernel_sizes.json"
CAPABILITIES = (75, 90)
REPORT = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)
HALF_RATE = {"SHF", "LOP3", "PRMT", "LEA", "IADD3", "VIADD", "SEL", "ISETP", "PLOP3"}
"""Shifts, logic, sums and comparisons of integers: 64 lanes a clock and multiprocessor, half of what is started
(CUDA C++ Best Practices Guide 13, "Throughput of Native Arithmetic Instructions", 8.0 and 9.0)."""
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


def disassembled(cubin: bytes) -> dict[str, list[str]]:
    """The instructions of every function of a cubin, labels between them; empty without nvdisasm."""
    tool = shutil.which("nvdisasm")
    if tool is None:
        return {}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "-c", file.name], capture_output=True, text=True, check=True).stdout
    functions = {}
    for section in text.split(".section\t.text.")[1:]:
        name, body = section.split(",", 1)
        lines = re.findall(
            r"^(\.L_x_\d+):|^\s+/\*[0-9a-f]{4,}\*/\s+(.*?);", body.split(".section\t")[0], re.MULTILINE
        )
        functions[name] = [label or instruction.strip() for label, instruction in lines]
    return functions


def a_block(lines: list[str]) -> dict[str, float]:
    """Instructions of matvec_1 for one block, by operation: its innermost loop with products, 12 of them a block.

    A loop inside (the search for a class or a row) counts once.
    """
    labels = {line: at for at, line in enumerate(lines) if line.startswith(".L")}
    loops = []
    for end, line in enumerate(lines):
        target = re.search(r"BRA .*`\((\.L_x_\d+)\)", line)
        if target and labels.get(target[1], end) < end:
            body = [
                re.sub(r"^@!?U?P\w+\s+", "", x)
                for x in lines[labels[target[1]] : end + 1]
                if not x.startswith(".L")
            ]
            counts = Counter(x.split()[0].split(".")[0] for x in body)
            if counts["IDP"] and not any(
                labels[target[1]] <= begin and stop <= end for begin, stop, _ in loops
            ):
                loops.append((labels[target[1]], end, counts))
    if not loops:
        return {}
    counts = max(loops, key=lambda loop: loop[2]["IDP"])[2]
    scale = 12 / counts["IDP"]
    half_rate = sum(counts[name] for name in HALF_RATE) * scale
    commonest = {name: n * scale for name, n in counts.most_common(8)}
    return {"all": counts.total() * scale, "half rate": half_rate, **commonest}


def main() -> None:
    rows: list[dict[str, Any]] = []
    for file in sorted(set(gpu.FILES.values())):
        for capability in CAPABILITIES:
            cubin, log = compile_source(gpu.sources() / file, capability, "--ptxas-options=-v")
            functions = disassembled(cubin)
            for found in REPORT.finditer(log):
                row = {"kernel": found["name"], "file": file, "sm": capability, "registers": int(found["registers"]),
                       "stack_bytes": int(found["stack"]), "spilled_bytes": int(found["stores"])}  # fmt: skip
                if functions:
                    lines = functions[found["name"]]
                    row["instructions"] = sum(not line.startswith((".L", "NOP")) for line in lines)
                    if re.fullmatch(r"matvec_(padded_)?1", found["name"]):
                        row["instructions_a_block"] = a_block(lines)
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
