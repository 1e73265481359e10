"""cached.py: reuse only what is what it would be made as."""

from __future__ import annotations

import pytest
from doubles import some_text, tiny_llama

from llvq_mini import cached, embedded
from llvq_mini.errors import LLVQError
from llvq_mini.pipeline import Settings

SMALL = Settings(windows=2, context=96)


@pytest.fixture(autouse=True)
def short_text(monkeypatch):
    monkeypatch.setattr(embedded, "calibration_text", some_text)


def test_reused_until_something_changes(tmp_path):
    model, out = tiny_llama(tmp_path / "model"), tmp_path / "out"
    report, reason = cached.quantized(model, out, SMALL)
    assert "no folder" in reason and report["fingerprint"] == cached.fingerprint(model, SMALL)
    assert cached.quantized(model, out, SMALL) == (report, None)
    other = Settings(windows=3, context=96)
    assert "have changed" in cached.quantized(model, out, other)[1]
    tiny_llama(model, seed=9)
    assert "have changed" in cached.quantized(model, out, other)[1]
    assert cached.quantized(model, out, other)[1] is None


def test_damage_is_noticed_and_repaired(tmp_path):
    model, out = tiny_llama(tmp_path / "model"), tmp_path / "out"
    cached.quantized(model, out, SMALL)
    before = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(before[:-1])
    assert "truncated" in cached.quantized(model, out, SMALL)[1]
    assert (out / "model.safetensors").read_bytes() == before


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    model, out = tiny_llama(tmp_path / "model"), tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(LLVQError, match="not a quantized model"):
        cached.quantized(model, out, SMALL)
    assert (out / "thesis.tex").exists()
