"""Hostile and broken folders: hundreds of generated ones, each an LLVQError, none a crash, a load or a memory hog."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from quantized import write_quantized


@pytest.mark.slow
def test_every_generated_case_is_an_error_of_the_library(tmp_path):
    """One process runs them all, its address space limited to 512 MiB beyond what loading the good folder took."""
    single = write_quantized("llama", tmp_path / "single")
    sharded = write_quantized("llama", tmp_path / "sharded", shard_bytes=8000)
    (tmp_path / "work").mkdir()
    script = Path(__file__).with_name("hostile.py")
    done = subprocess.run(
        [sys.executable, script, single, sharded],
        capture_output=True,
        text=True,
        cwd=tmp_path / "work",
        env={
            **os.environ,
            "MALLOC_ARENA_MAX": "2",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(script.parents[1]),
        },
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"after {outcomes[-1:]}: {done.stderr[-2000:]}"
    wrong = [case for case in outcomes if case[1] != "LLVQError"]
    assert not wrong, wrong[:10]
    assert len(outcomes) >= 400 and len({name for name, *_ in outcomes}) > 390
    assert all("\n" not in message and 20 < len(message) for *_, message in outcomes)
    assert not list((tmp_path / "work").iterdir()), "a checkpoint ran something"
