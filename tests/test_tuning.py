"""tuning.py: a folder in, a folder out; the same codes, less divergence, and no other original."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from doubles import some_text, tiny_llama
from safetensors.torch import load_file

import llvq_mini
from llvq_mini import cli, finetune, store
from llvq_mini.errors import LLVQError
from llvq_mini.finetune import TuneSettings
from llvq_mini.models import load_source, token_windows
from llvq_mini.pipeline import Settings, quantize
from llvq_mini.tuning import tune_folder

TEXT = some_text()
SETTINGS = TuneSettings(steps=8, learning_rate=0.02)
SIZES = {"text": TEXT, "windows": 4, "context": 64}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A bfloat16 model, its quantized folder at one bit a weight, and the folder tuned in one go."""
    folder = tmp_path_factory.mktemp("tuning")
    tiny_llama(folder / "model", hidden=48, layers=1, dtype="bfloat16")
    quantize(folder / "model", folder / "out", Settings(bits=1, windows=4, context=64), text=TEXT)
    tune_folder(folder / "out", folder / "tuned", SETTINGS, **SIZES)
    return folder


def divergence(one, other, windows) -> float:
    with torch.inference_mode():
        log_t, log_p = (m(torch.from_numpy(windows)).logits.log_softmax(-1) for m in (one, other))
        return float((log_t.exp() * (log_t - log_p)).sum(-1).mean())


def test_codes_stay_scales_and_norms_change_and_the_divergence_falls(place):
    before, after = store.load(place / "out"), store.load(place / "tuned")
    assert before.linears.keys() == after.linears.keys()
    for name, linear in before.linears.items():
        assert linear.codes.tobytes() == after.linears[name].codes.tobytes()
        assert linear.seed == after.linears[name].seed
        assert not np.array_equal(linear.row_scale, after.linears[name].row_scale)
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, after.tensors[name]) == ("embed" in name)
    source = load_source(place / "model")
    windows = token_windows(source.tokenizer, TEXT, 64, 4)
    models = [llvq_mini.load(place / name)[0] for name in ("out", "tuned")]
    lost = [divergence(source.model, model, windows) for model in models]
    assert lost[1] < 0.9 * lost[0]
    files = [sorted(path.name for path in (place / name).iterdir()) for name in ("out", "tuned")]
    assert files[0] == files[1] and not (place / "tuned.partial").exists()
    sizes = [store.measured_bits(place / name)["bits_per_weight"] for name in ("out", "tuned")]
    assert sizes[0] == sizes[1]


def test_the_report_tells_what_was_done(place):
    report = json.loads((place / "tuned" / "report.json").read_text())
    tuning = report["tuning"]
    assert len(tuning["losses"]) == 8 and tuning["losses"][-1] < tuning["losses"][0]
    assert tuning["settings"] == {
        "steps": 8, "learning_rate": 0.02, "warmup": 0.1, "seed": 0, "autocast": False
    }  # fmt: skip
    assert tuning["original_checked"] == "digest of its weights" and tuning["seconds"] > 0
    before = json.loads((place / "out" / "report.json").read_text())
    assert report["layers"] == before["layers"] and report["inputs"] == before["inputs"]


class Halt:
    """Progress that stops after a number of steps of training."""

    def __init__(self, last: int) -> None:
        self.last = last

    def __call__(self, stage, done, total) -> None:
        if stage == "tune" and done == self.last:
            raise KeyboardInterrupt


def test_stopped_and_continued_is_the_same(place, tmp_path, monkeypatch):
    """After the third step nothing is due to be saved: stopping saves it."""
    monkeypatch.setattr(finetune, "_SAVE_EVERY", 100)
    for last in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            tune_folder(place / "out", tmp_path / "two", SETTINGS, **SIZES, on_step=Halt(last))
        state = load_file(tmp_path / "two.partial" / "state.safetensors")
        assert len(state["losses"]) == last and not (tmp_path / "two").exists()
    with pytest.raises(LLVQError, match=r"other inputs: settings seed \(was 0, is 7\)"):
        tune_folder(place / "out", tmp_path / "two", TuneSettings(8, 0.02, seed=7), **SIZES)
    steps = []
    report = tune_folder(
        place / "out", tmp_path / "two", SETTINGS, **SIZES, on_step=lambda *step: steps.append(step)
    )
    assert steps[2:] == [("tune", number, 8) for number in range(1, 9)]
    for path in (place / "tuned").iterdir():
        if path.name not in ("report.json", "README.md"):
            assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes(), path.name
    assert (
        report["tuning"]["losses"]
        == json.loads((place / "tuned" / "report.json").read_text())["tuning"]["losses"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two"]


def test_a_finished_result_is_found_and_another_is_not_overwritten(place):
    before = (place / "tuned" / "report.json").read_bytes()
    assert tune_folder(place / "out", place / "tuned", SETTINGS, **SIZES) == json.loads(before)
    with pytest.raises(LLVQError, match="made with other inputs: tokens;"):
        tune_folder(place / "out", place / "tuned", SETTINGS, **{**SIZES, "windows": 3})
    with pytest.raises(LLVQError, match="no result of tuning"):
        tune_folder(place / "tuned", place / "out", SETTINGS, **SIZES)
    with pytest.raises(LLVQError, match="not a quantized model"):
        tune_folder(place / "out", place / "model", SETTINGS, **SIZES, force=True)
    with pytest.raises(ValueError, match="'out' must be another folder"):
        tune_folder(place / "out", place / "out", SETTINGS, **SIZES)
    assert (place / "tuned" / "report.json").read_bytes() == before


@pytest.mark.parametrize("digest", [True, False])
def test_another_original_is_refused(place, tmp_path, digest):
    """By the digest in the report; without it, by shapes and by the embedding."""
    shutil.copytree(place / "out", tmp_path / "out")
    if not digest:
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        del report["inputs"]["weights"]
        (tmp_path / "out" / "report.json").write_text(json.dumps(report))
    others = [
        tiny_llama(tmp_path / "other", hidden=48, layers=1, dtype="bfloat16", seed=1),
        tiny_llama(tmp_path / "wide", hidden=48, layers=1, dtype="bfloat16", intermediate=90),
    ]
    for other in others:
        with pytest.raises(LLVQError, match="is not the model that .*--original"):
            tune_folder(tmp_path / "out", tmp_path / "new", SETTINGS, original=str(other), **SIZES)
    assert not (tmp_path / "new").exists() and not (tmp_path / "new.partial").exists()
    if not digest:
        few = TuneSettings(steps=1, learning_rate=0.02)
        report = tune_folder(tmp_path / "out", tmp_path / "new", few, **SIZES)
        assert report["tuning"]["original_checked"].startswith("shapes")


def test_the_command(place, tmp_path, monkeypatch, capsys, handlers):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    few = ["--steps", "2", "--windows", "2", "--context", "48", "--text", "text.txt", "--rate", "0.01"]
    assert cli.main(["tune", str(place / "out"), "-o", "new", *few]) == 0
    printed = capsys.readouterr().out.splitlines()
    last = json.loads(printed[-1])
    assert last["tuning_steps"] == 2 and last["out"] == "new"
    assert any(line.startswith("scales tuned in 2 steps at rate 0.01") for line in printed)
    assert "llvq" in (tmp_path / "new" / "README.md").read_text()
    for wrong, code in [(["--rate", "2"], 2), (["--steps", "0"], 2), (["--original", "nowhere"], 1)]:
        try:
            found = cli.main(["tune", str(place / "out"), "-o", "else", *few, *wrong])
        except SystemExit as stop:
            found = stop.code
        assert found == code and "Traceback" not in capsys.readouterr().err


@pytest.fixture
def handlers():
    """The command replaces signal handlers; a test gives them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_says_how_to_continue(place, tmp_path, monkeypatch, capsys, handlers):
    """What `stoppable` raises after a signal, raised here without one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.setattr(cli, "stoppable", lambda step: cli.suppress())
    monkeypatch.setattr("llvq_mini.tuning.tune_folder", _interrupted)
    command = ["tune", str(place / "out"), "-o", "new", "--text", "text.txt", "--windows", "2"]
    command += ["--context", "48"]
    assert cli.main(command) == 130
    message = capsys.readouterr().err
    assert "'new.partial' holds the unfinished work, the same command continues it" in message


def _interrupted(*arguments, **options):
    return tune_folder(*arguments, **{**options, "on_step": Halt(1)})
