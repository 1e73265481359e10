"""benchmarks/llm_libraries.py and llm_layers.py with a stand-in for the library: jobs, records, bits, resumption."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from doubles import random_hessian, some_text, tiny_llama

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import llm_layers
import llm_libraries
from llm_arms import Matrix
from llm_layers import figures, ratio, sample, table, whole_bits
from llm_libraries import REQUIREMENTS, Library, LibraryBench, elsewhere, libraries, run_job

from llvq_mini.errors import LLVQError

STAND_IN = """
import json, shutil, sys
job = json.load(open(sys.argv[1]))
print("a line of progress")
record = {"bits": 300, "packed_bits": 400, "weights": 100, "cpu_seconds": 1.0, "version": "9"}
if job["options"]["fail"]:
    sys.exit(3)
shutil.copytree(job["source"], job["out"])
json.dump({**record, "linears": len(job["linears"])}, open(job["out"] + "/record.json", "w"))
print(json.dumps(record))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Jobs run by this Python and a script that copies the model."""
    script = tmp_path / "jobs.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(llm_libraries, "JOBS", script)
    monkeypatch.setattr(llm_libraries, "environment", lambda work, library: Path(sys.executable))


def arm(fail=False):
    return Library("copy", "a copy", elsewhere, library="none", options={"fail": fail})


def bench(tmp_path):
    source = tmp_path / "model"
    if not source.exists():
        tiny_llama(source, hidden=48, layers=2)
    texts = some_text(4000), some_text(3000)[::-1]
    return LibraryBench(
        tmp_path / "work",
        windows=2,
        context=64,
        evaluated=3,
        source=str(source),
        texts=texts,
        results=tmp_path / "results",
        say=lambda line: None,
    )


def test_a_library_that_copies_loses_nothing(tmp_path, stand_in, capfd):
    made = bench(tmp_path)
    result = made.run(arm())
    assert (
        result["excess"] == 0 and result["kl"] == pytest.approx(0, abs=1e-6) and len(result["windows"]) == 3
    )
    assert result["bits_per_weight"] == 3 and result["weights"] == 100 and result["linears"] == 14
    assert result["library"]["version"] == "9" and result["library"]["packed_bits_per_weight"] == 4
    assert "a line of progress" in capfd.readouterr().out and not list((tmp_path / "work").glob("job-*"))
    dense = tmp_path / "work" / "arms" / "copy" / "dense"
    assert dense.is_dir()
    made.clean(arm())
    assert not dense.exists() and made.run(arm(fail=True)) == result  # nothing is done again


def test_a_library_that_fails_leaves_no_result(tmp_path, stand_in):
    with pytest.raises(LLVQError, match="exit status 3"):
        bench(tmp_path).run(arm(fail=True))
    assert not (tmp_path / "results").exists()


def test_no_process_of_ours_quantizes_a_library_arm():
    m = Matrix("q_proj", np.ones((2, 2), dtype=np.float32), np.eye(2), np.eye(2), 0)
    for one in libraries():
        assert isinstance(one, Library) and one.library in REQUIREMENTS
        with pytest.raises(ValueError, match="its library"):
            one.plan([m])(m)


def test_versions_are_pinned():
    assert all("==" in requirement for wanted in REQUIREMENTS.values() for requirement in wanted)


def test_progress_passes_and_the_record_is_the_last_line(tmp_path, stand_in, capfd):
    tiny_llama(tmp_path / "model")
    job = {"library": "none", "out": str(tmp_path / "out"), "source": str(tmp_path / "model")}
    record = run_job(tmp_path, {**job, "linears": [], "options": {"fail": False}})
    assert record["bits"] == 300 and capfd.readouterr().out == "a line of progress\n"


def matrix(rows=64, columns=48, name="model.layers.0.self_attn.v_proj"):
    weight = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    return Matrix(name, weight, random_hessian(columns, 1), np.ones((columns, columns)), 5)


def test_sampled_rows_are_spread_and_bits_are_those_of_the_whole():
    m = matrix()
    assert np.array_equal(sample(m, 16).weight, m.weight[::4]) and sample(m, 64) is m and sample(m, 80) is m
    # 10 bits a row and 100 bits once: 16 rows take 260, all 64 of them 740
    assert whole_bits(260, 100, 16, 64) == 740


def test_figures_of_a_matrix():
    m = matrix()
    line = figures(m, 0.9 * m.weight, bits=64 * 48 * 2, rows=64)
    assert line["mse"] == pytest.approx(0.01, rel=1e-4) and line["proxy"] == pytest.approx(0.01, rel=1e-3)
    assert line["bits_per_weight"] == 2 and line["shape"] == [64, 48]
    noise = np.random.default_rng(1).standard_normal(m.weight.shape).astype(np.float32)
    metric = m.plain + 4 * m.first
    expected = np.trace(noise @ metric @ noise.T) / np.trace(m.weight @ metric @ m.weight.T)
    assert figures(m, m.weight + noise, 1, 64)["proxy"] == pytest.approx(expected, rel=1e-4)


def test_own_and_library_arms_in_one_table(tmp_path, monkeypatch):
    pairs = [(sample(matrix(64, 48, f"m{n}"), 32), 64) for n in range(3)]
    own = {name: llm_layers.run_own(name, pairs) for name in ("rtn-2", "gptq-2-sink")}
    gptq = own["gptq-2-sink"]["matrices"][0]
    assert gptq["bits_per_weight"] == pytest.approx(2 + 18 / 48 + 16 / 64)  # the order of columns counts once
    assert gptq["proxy"] < own["rtn-2"]["matrices"][0]["proxy"]

    def job(work, given):
        with np.load(given["matrices"]) as arrays:
            names = [key.removesuffix(".weight") for key in arrays.files if key.endswith("weight")]
            assert np.array_equal(arrays["m0.hessian"], pairs[0][0].hessian("sink"))
            np.savez(given["out"], **{f"{name}.dense": arrays[f"{name}.weight"] * 0.8 for name in names})
        counted = {"bits": dict.fromkeys(names, 3172), "fixed": dict.fromkeys(names, 100)}
        return {**counted, "cpu_seconds": 1.0, "version": "9"}

    monkeypatch.setattr(llm_layers, "run_job", job)
    (tmp_path / "layers").mkdir()
    glq = llm_layers.run_library("glq-e8-2", pairs, tmp_path)
    assert glq["matrices"][0]["proxy"] == pytest.approx(0.04, rel=1e-3)
    assert glq["matrices"][0]["bits_per_weight"] == pytest.approx((3072 * 2 + 100) / (64 * 48))
    assert not list((tmp_path / "layers").iterdir())
    lines = table({"leech-2": glq, **own})
    assert lines[1].startswith(("leech-2", "gptq")) and json.dumps(lines) and "[" in "".join(lines[1:])


def test_ratio_is_paired():
    one, other = ({"matrices": [{"proxy": a} for a in proxies]} for proxies in ((1, 20, 300), (2, 40, 600)))
    assert ratio(one, other) == pytest.approx((0.5, 0.5, 0.5))
