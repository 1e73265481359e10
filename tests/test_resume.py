"""resume.py: whatever ends a run, the same command finishes it, with the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from doubles import random_hessian, some_text, tiny_llama

from llvq_mini import embedded, resume
from llvq_mini._parallel import one_thread_each
from llvq_mini.errors import LLVQError
from llvq_mini.pipeline import Settings, quantize
from llvq_mini.resume import Work, partial_folder

SMALL = Settings(windows=2, context=48)
TEXT = some_text()


def files(folder) -> dict[str, bytes]:
    """Everything that must not depend on how a run went; report.json tells of times."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "report.json"}


def findings(folder) -> list[dict]:
    """What the report says of every linear, to the last digit, but not how long it took: finer than packed codes."""
    layers = json.loads((folder / "report.json").read_text())["layers"]
    return [{key: value for key, value in layer.items() if key != "seconds"} for layer in layers]


class Stop(Exception):
    """Ends a run from within, as any error would."""


def stop_after(count):
    calls = []

    def step(stage, done, total):
        calls.append(done)
        if len(calls) == count:
            raise Stop

    return step


@pytest.mark.parametrize(
    "states_every, sequential",
    [
        (0, False),
        pytest.param(0, True, marks=pytest.mark.slow),
        pytest.param(3600, True, marks=pytest.mark.slow),
    ],
)
def test_stopped_anywhere_and_continued(tmp_path, monkeypatch, states_every, sequential):
    """Stop after every sixth step; go on with saved states and without; the files are those of one run."""
    monkeypatch.setattr(resume, "STATES_EVERY", states_every)
    model, settings = tiny_llama(tmp_path / "model"), Settings(windows=2, context=48, sequential=sequential)
    quantize(model, tmp_path / "whole", settings, text=TEXT)
    found = []
    for _ in range(30):
        try:
            report = quantize(model, tmp_path / "out", settings, text=TEXT, on_step=stop_after(6)).report
            break
        except Stop:
            assert not (tmp_path / "out").exists()
            found.append(len(list((tmp_path / "out.partial" / "units").glob("*.safetensors"))))
            assert bool(list((tmp_path / "out.partial").glob("states-*"))) == (
                states_every == 0 and found[-1] >= 7
            )
    assert len(found) > 3 and found == sorted(found) and report["units_found"] == found[-1]
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert findings(tmp_path / "out") == findings(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out", "whole"]


DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from doubles import some_text
from llvq_mini import pipeline, resume, store
import torch, transformers, threadpoolctl, safetensors.torch
resume.STATES_EVERY = 0.0
from llvq_mini.stream import open_source
place, text = Path(sys.argv[1]), some_text()
open_source(place / "model")  # imports what transformers loads late, computes nothing that starts threads
moments = random.Random(int(sys.argv[3]))

def start(name):
    child = os.fork()  # the imports are paid once
    if not child:
        code = 1
        try:
            pipeline.quantize(place / "model", place / name, pipeline.Settings(windows=2, context=48), text=text)
            code = 0
        finally:
            os._exit(code)
    return child

def finish(name):
    assert os.waitpid(start(name), 0)[1] == 0, name

def until_work(name):
    while not (place / f"{name}.partial" / "work.json").exists():
        time.sleep(0.001)
    return time.monotonic()

finish("warm")
child = start("whole")
begun = until_work("whole")
assert os.waitpid(child, 0)[1] == 0
length = time.monotonic() - begun
for number in range(10):
    name = f"cut{number}"
    child = start(name)
    if number:  # the first is killed anywhere, also before its work has a folder
        until_work(name)
    time.sleep(moments.random() * length)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(number, len(list((place / f"{name}.partial" / "units").glob("*"))), (place / name).exists())
    finish(name)
"""


@pytest.mark.slow
def test_killed_at_ten_random_moments(tmp_path):
    """SIGKILL, which no handler sees, at ten moments spread over a run; each is followed by the same call."""
    tiny_llama(tmp_path / "model", hidden=48, layers=3)
    seed = random.randrange(1 << 30)
    command = [sys.executable, "-c", DRIVER, str(tmp_path), str(Path(__file__).parent), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment())
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    whole = files(tmp_path / "whole")
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= whole.keys()
    for number in range(10):
        assert findings(tmp_path / f"cut{number}") == findings(tmp_path / "whole")
        assert files(tmp_path / f"cut{number}") == whole, f"seed {seed}, moment {number}:\\n{done.stdout}"
    assert len({line.split()[1] for line in done.stdout.splitlines()}) > 1, (
        done.stdout
    )  # the moments did differ
    assert not list(tmp_path.glob("*.partial"))


def environment(**changes):
    root = str(Path(__file__).parent.parent)
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": root,
        **changes,
    }


ONCE = """
import os, sys
from pathlib import Path
if sys.argv[3] == "1":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path.insert(0, sys.argv[2])
from doubles import some_text
from llvq_mini.pipeline import Settings, quantize
place = Path(sys.argv[1])
settings = Settings(windows=3, context=64, sequential=True)
quantize(place / "model", place / sys.argv[3], settings, text=some_text())
"""


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path):
    """One processor and one thread everywhere, against all processors and the libraries' own defaults.

    With 560 columns OpenBLAS factorizes Hessians on several threads if it may, and rounds otherwise.
    """
    tiny_llama(tmp_path / "model", hidden=560, layers=1, intermediate=100)
    for threads in ("1", "2"):
        changes = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-c", ONCE, str(tmp_path), str(Path(__file__).parent), threads]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, env=environment(**changes)
        )
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "1") == files(tmp_path / "2")
    assert findings(tmp_path / "1") == findings(tmp_path / "2")


def test_libraries_are_held_at_one_thread_and_let_go():
    """OpenBLAS factorizes 560 columns on two threads otherwise than on one, in the last digits."""
    import threadpoolctl
    import torch

    def counts():
        found = threadpoolctl.threadpool_info()
        return {library["num_threads"] for library in found if library["user_api"] == "blas"}

    hessian = random_hessian(560, 0)
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        expected = np.linalg.cholesky(hessian)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        torch.set_num_threads(2)
        with one_thread_each():
            assert counts() == {1} and torch.get_num_threads() == 1
            assert np.array_equal(np.linalg.cholesky(hessian), expected)
        assert 2 in counts() and torch.get_num_threads() == 2


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A model, and a place with two units of work done."""
    place = tmp_path_factory.mktemp("unfinished")
    tiny_llama(place / "model", hidden=48, layers=1)
    with pytest.raises(Stop):
        quantize(place / "model", place / "out", SMALL, text=TEXT, on_step=stop_after(6))
    return place


def test_other_inputs_are_refused_by_name(unfinished, tmp_path):
    model, out = unfinished / "model", unfinished / "out"
    before = sorted(path.name for path in (unfinished / "out.partial" / "units").iterdir())
    assert len(before) == 2
    other = tiny_llama(tmp_path / "other", hidden=48, layers=1, seed=1)
    untied = tiny_llama(tmp_path / "untied", hidden=48, layers=1, tied=False)
    cases = [
        (other, SMALL, TEXT, "other inputs: weights;"),
        (untied, SMALL, TEXT, "other inputs: configuration and tokenizer, weights;"),
        (model, SMALL, TEXT[500:], "other inputs: calibration tokens;"),
        (model, Settings(windows=2, context=48, seed=7), TEXT, r"settings seed \(was 0, is 7\);"),
        (
            model,
            Settings(windows=2, context=48, codebook="ball"),
            TEXT,
            r"settings codebook \(was tapered, is ball\)",
        ),
    ]
    for source, settings, text, match in cases:
        with pytest.raises(LLVQError, match=match):
            quantize(source, out, settings, text=text)
    assert sorted(path.name for path in (unfinished / "out.partial" / "units").iterdir()) == before


def test_another_program_is_refused_by_name(unfinished, monkeypatch):
    monkeypatch.setattr("llvq_mini.pipeline.program_fingerprint", lambda: "0" * 64)
    with pytest.raises(LLVQError, match="other inputs: program;"):
        quantize(unfinished / "model", unfinished / "out", SMALL, text=TEXT)


def test_a_second_process_waits_outside(unfinished):
    inputs = json.loads((unfinished / "out.partial" / "work.json").read_text())["inputs"]
    work = Work.open(unfinished / "out", inputs)
    with pytest.raises(LLVQError, match="Another process is at work"):
        quantize(unfinished / "model", unfinished / "out", SMALL, text=TEXT)
    work.close()
    assert len(work.units) == 2


def test_a_damaged_unit_is_named(unfinished):
    inputs = json.loads((unfinished / "out.partial" / "work.json").read_text())["inputs"]
    work = Work.open(unfinished / "out", inputs)
    try:
        name = min(work.units)
        path = unfinished / "out.partial" / "units" / f"{name}.safetensors"
        data = path.read_bytes()
        back = work.load(name)
        assert back.shape == (24, 48) and np.isfinite(back.dequantize()).all()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(LLVQError, match=f"{name}.*fails its SHA-256"):
            work.load(name)
        path.write_bytes(data)
    finally:
        work.close()


def test_force_begins_anew_and_strangers_are_left_alone(tmp_path):
    model = tiny_llama(tmp_path / "model", hidden=48, layers=1)
    with pytest.raises(Stop):
        quantize(model, tmp_path / "out", SMALL, text=TEXT, on_step=stop_after(7))
    other = Settings(windows=2, context=48, seed=3)
    assert quantize(model, tmp_path / "out", other, text=TEXT, force=True).report["units_found"] == 0
    assert not partial_folder(tmp_path / "out").exists()
    (tmp_path / "two.partial").mkdir()
    (tmp_path / "two.partial" / "thesis.tex").touch()
    with pytest.raises(LLVQError, match="is in the way"):
        quantize(model, tmp_path / "two", SMALL, text=TEXT)
    assert (tmp_path / "two.partial" / "thesis.tex").exists()


def test_the_same_command_again_finds_it_done(tmp_path):
    """Also after the process ended between the last rename and the clearing up."""
    model = tiny_llama(tmp_path / "model", hidden=48, layers=1)
    first = quantize(model, tmp_path / "out", SMALL, text=TEXT)
    before = (tmp_path / "out" / "report.json").read_bytes()
    inputs = first.report["inputs"]
    (tmp_path / "out.partial" / "units").mkdir(parents=True)
    (tmp_path / "out.partial" / "work.json").write_text(json.dumps({"version": 1, "inputs": inputs}))
    steps = []
    again = quantize(model, tmp_path / "out", SMALL, text=TEXT, on_step=lambda *step: steps.append(step))
    assert again.report == first.report and steps == [("load", 0, 1)]
    assert (tmp_path / "out" / "report.json").read_bytes() == before
    assert not (tmp_path / "out.partial").exists()
    with pytest.raises(LLVQError, match="made with other inputs: calibration tokens;"):
        quantize(model, tmp_path / "out", SMALL, text=TEXT[500:])


def test_an_error_before_the_first_unit_leaves_nothing(tmp_path):
    model = tiny_llama(tmp_path / "model", hidden=48, layers=1)
    with pytest.raises(Stop):
        quantize(model, tmp_path / "out", SMALL, text=TEXT, on_step=stop_after(3))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_keeps_the_work(tmp_path, monkeypatch):
    model = tiny_llama(tmp_path / "model", hidden=48, layers=1)
    durable, written = resume.durable, []

    def failing(path, data):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        durable(path, data)

    monkeypatch.setattr(resume, "durable", failing)
    with pytest.raises(LLVQError, match="disk is full.*run the command again"):
        quantize(model, tmp_path / "out", SMALL, text=TEXT)
    monkeypatch.setattr(resume, "durable", durable)
    assert quantize(model, tmp_path / "out", SMALL, text=TEXT).report["units_found"] == 3


@pytest.mark.slow
def test_ctrl_c_finishes_the_unit_and_says_how_to_continue(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    tiny_llama(tmp_path / "model", hidden=48, layers=12)
    small = ["--windows", "2", "--context", "48", "--text", "text.txt", "--eval-windows", "0"]
    command = [sys.executable, "-m", "llvq_mini.cli", "quantize", "model", "-o", "out", *small]
    options = {"cwd": tmp_path, "env": environment(), "text": True}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out.partial/units/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "finishing the unit" in stderr and "Traceback" not in stderr
    assert (
        "the same command continues it" in stderr.splitlines()[-1]
        and "out.partial" in stderr.splitlines()[-1]
    )
    assert not list(tmp_path.glob("out.partial/units/.*"))
    done = subprocess.run(command, capture_output=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["linears"] == 12 * 7 and line["units_found"] > 0


def test_embedded_text_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "calibration_text", some_text)
    model = tiny_llama(tmp_path / "model", hidden=48, layers=1)
    one = quantize(model, tmp_path / "one", SMALL).report["inputs"]
    assert one == quantize(model, tmp_path / "two", SMALL, text=TEXT).report["inputs"]
