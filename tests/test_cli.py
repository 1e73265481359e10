"""cli.py and report.py as a user meets them: as a process, with good input, bad input and Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from doubles import some_text, tiny_llama

from llvq_mini import cli, report
from llvq_mini.errors import LLVQError


def llvq(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llvq_mini.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture
def here(monkeypatch, capsys):
    """Run a command in this process: (exit code, stdout, stderr). Saves the seconds that imports take."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object, cwd) -> tuple[int, str, str]:
        monkeypatch.chdir(cwd)
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model, a text and the quantized output of one command line."""
    folder = tmp_path_factory.mktemp("cli")
    tiny_llama(folder / "model")
    (folder / "text.txt").write_text(some_text())
    small = ["--windows", 4, "--context", 96, "--text", folder / "text.txt", "--eval-windows", 0]
    done = llvq("quantize", folder / "model", "-o", folder / "out", "--bits", 2, *small)
    assert done.returncode == 0, done.stderr
    return folder, small, done.stdout


def test_quantize_says_what_it_measured(place):
    folder, _, stdout = place
    assert "bits a weight on the disk" in stdout and "q_proj" in stdout and "is complete" in stdout
    last = json.loads(stdout.splitlines()[-1])
    assert last["linears"] == 14 and last["bits_per_weight"] > 2 and last["peak_resident_bytes"] > 10**7
    saved = json.loads((folder / "out" / "report.json").read_text())
    provenance = saved["provenance"]
    assert {"command", "machine", "python", "packages", "commit", "date"} <= provenance.keys()
    assert saved["measured"]["bits_per_weight"] > 2


def test_eval_writes_the_report(place, here):
    folder, _, _ = place
    few = ["--context", 96, "--eval-windows", 3, "--text", "text.txt"]
    code, stdout, stderr = here("eval", "out", *few, cwd=folder)
    assert code == 0, stderr
    assert "perplexity" in stdout and "excess" in stdout
    evaluation = json.loads((folder / "out" / "report.json").read_text())["evaluation"]
    assert evaluation["tokens"] == 3 * 95 and len(evaluation["token_fingerprint"]) == 64
    difference = evaluation["nats_per_token"] - evaluation["baseline_nats_per_token"]
    assert evaluation["excess"] == pytest.approx(difference, abs=1e-6)
    code, stdout, _ = here("eval", "out", "--baseline", "none", *few, cwd=folder)
    assert code == 0 and "excess" not in stdout


def test_generate_and_inspect(place, here):
    folder, _, _ = place
    asked = ["the lattice", "--max-new-tokens", 8]
    first = here("generate", "out", *asked, cwd=folder)
    assert first[0] == 0 and first == here("generate", "out", *asked, cwd=folder)
    assert here("generate", "model", *asked, cwd=folder)[0] == 0
    code, stdout, _ = here("inspect", "out", cwd=folder)
    assert code == 0 and "match their checksums" in stdout and "q_proj" in stdout
    assert "condition" in stdout and "input rotation, block feedback, 1 of coordinate descent, refit" in stdout


def test_export_and_card(place, here):
    folder, _, _ = place
    code, stdout, stderr = here("export", "out", "--to", "dense", cwd=folder)
    assert code == 0 and "out-dense is complete" in stdout, stderr
    asked = ["the lattice", "--max-new-tokens", 8]
    texts = [
        here("generate", "out", *asked, "--mode", mode, cwd=folder) for mode in ("packed", "cached", "dense")
    ]
    texts.append(here("generate", "out-dense", *asked, cwd=folder))
    assert texts[0][0] == 0 and len({text for _, text, _ in texts}) == 1
    assert here("export", "out", cwd=folder)[0] == 1
    card = (folder / "out" / "README.md").read_text()
    assert "quantize" in card and 'llvq_mini.load("out")' in card


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["quantize", "nowhere", "-o", "new"], 1, "There is no model 'nowhere'"),
        (["quantize", "model", "-o", "out"], 1, "exists already"),
        (["quantize", "out", "-o", "new"], 1, "quantized already"),
        (["quantize", "model", "-o", "new", "--bits", "5"], 2, "'bits' must be 1, 1.5, 2, 2.5, 3, 3.5 or 4"),
        (["quantize", "model", "-o", "new", "--codebook", "interlocked", "--bits", "3"], 2, "1.5, 2 or 2.5"),
        (["quantize", "model", "-o", "new", "--bits", "two"], 2, "invalid float value"),
        (["quantize", "model", "-o", "new", "--windows", "0"], 2, "at least 1"),
        (["quantize", "model", "-o", "new", "--codebook", "e8"], 2, "must be one of"),
        (["quantize", "model", "-o", "new", "--text", "nowhere.txt"], 1, "cannot be read"),
        (["quantize", "model", "-o", "text.txt/new", "--text", "text.txt"], 1, "Cannot write"),
        (["quantize", "model"], 2, "required"),
        (["eval", "nowhere"], 1, "There is no folder 'nowhere'"),
        (["eval", "model"], 1, "not a quantized model"),
        (["eval", "out", "--eval-windows", "0"], 2, "at least 1"),
        (["generate", "nowhere", "hello"], 1, "There is no model"),
        (["generate", "out", ""], 2, "at least one token"),
        (["generate", "out", "hello", "--temperature", "-1"], 2, "'temperature'"),
        (["inspect", "model"], 1, "not a quantized model"),
        (["export", "model"], 1, "not a quantized model"),
        (["export", "out", "--to", "gguf"], 2, "invalid choice"),
        (["dance"], 2, "invalid choice"),
        ([], 2, "required"),
    ],
)
def test_bad_input_is_one_sentence_and_a_code(place, here, arguments, code, message):
    got, _, stderr = here(*arguments, cwd=place[0])
    assert got == code and message in stderr.strip().splitlines()[-1], stderr
    assert not (place[0] / "new").exists()


def test_a_flipped_bit_is_reported_without_a_traceback(place, here, tmp_path):
    shutil.copytree(place[0] / "out", tmp_path / "out")
    weights = tmp_path / "out" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 16
    weights.write_bytes(data)
    for command in (["generate", "out", "x"], ["eval", "out", "--text", place[0] / "text.txt"]):
        code, _, stderr = here(*command, cwd=tmp_path)
        assert code == 1 and "SHA-256" in stderr
    done = llvq("inspect", "out", cwd=tmp_path)
    assert done.returncode == 1 and "SHA-256" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_second_signal_stops_at_once_and_the_work_stays(place, tmp_path):
    """Both arrive while layers are being quantized. (The first alone: tests/test_resume.py.)"""
    folder, _, _ = place
    (tmp_path / "text.txt").write_text(some_text(200_000))
    model = tiny_llama(tmp_path / "model", layers=24)
    command = [sys.executable, "-m", "llvq_mini.cli", "quantize", model, "-o", tmp_path / "out"]
    command += ["--windows", 150, "--context", 250, "--text", tmp_path / "text.txt", "--eval-windows", 0]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out.partial/units/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, "finished before the signal"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, f"exit code {process.returncode}, stderr: {stderr}"
    assert "Interrupted; " in stderr and "Traceback" not in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.partial", "text.txt"]


def test_help_is_quick_and_loads_nothing_heavy():
    code = "import sys, llvq_mini.cli; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert "quantize" in llvq("--help").stdout


def test_provenance_names_the_machine_and_no_path():
    made = report.provenance("a command")
    assert made["command"] == "a command" and made["machine"]["cores"] >= 1 and made["packages"]["numpy"]
    assert os.path.expanduser("~") not in json.dumps(made)


def test_reading_broken_reports(tmp_path):
    with pytest.raises(LLVQError, match="holds no report.json"):
        report.read_report(tmp_path)
    for content, match in [("{", "as JSON"), ("[]", "not a quantization report")]:
        (tmp_path / "report.json").write_text(content)
        with pytest.raises(LLVQError, match=match):
            report.read_report(tmp_path)
