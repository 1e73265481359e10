"""llvq_mini.arms and llm_plots: intervals by hand, what is shown and what is not, figures that hold the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from llvq_mini import arms, llm_plots, plots
from llvq_mini.errors import LLVQError

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "llm_arms"
BASE = (3.0, 2.5, 3.5, 2.9)


def result(name, excesses, bits=2.02, base=BASE):
    windows = [
        {
            "nats_per_token": nats + excess,
            "baseline_nats_per_token": nats,
            "excess": excess,
            "kl": 1.1 * excess,
            "top1_agreement": 0.5,
            "tokens": 10,
        }
        for nats, excess in zip(base, excesses, strict=True)
    ]
    return {"arm": name, "text": f"text of {name}", "bits_per_weight": bits, **arms.summary(windows)}


REFERENCE = result("leech-2", (0.8, 0.7, 0.9, 0.8))
SOME = {
    item["arm"]: item
    for item in (
        REFERENCE,
        result("tuned", (0.6, 0.52, 0.7, 0.58)),
        result("no-refit", (0.81, 0.69, 0.91, 0.79)),
        result("gain-1", (0.82, 0.75, 0.93, 0.84)),
        result("new-idea", (0.9, 0.8, 1.0, 0.91)),
        result("gptq-2-sink", (3.1, 3.0, 3.5, 3.0), 2.28),
        result("gptq-3-sink", (0.5, 0.4, 0.6, 0.5), 3.3),
        result("hqq-2.5-own", (4.1, 4.0, 4.5, 4.0), 2.5),
        result("bits-1.5", (1.7, 1.8, 2.0, 1.7), 1.53),
    )
}


def test_interval_is_students():
    mean, low, high = arms.paired(SOME["tuned"], REFERENCE)
    differences = [-0.2, -0.18, -0.2, -0.22]
    half = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert mean == pytest.approx(-0.2) and (low, high) == pytest.approx((half.low, half.high))
    own = arms.interval(REFERENCE, "kl")
    assert own[0] == pytest.approx(1.1 * 0.8) and own[2] - own[0] == pytest.approx(own[0] - own[1])


def test_pairing_needs_the_same_windows():
    other = result("other", (1.0, 1.0, 1.0, 1.0), base=BASE[::-1])
    with pytest.raises(ValueError, match="same windows"):
        arms.paired(other, REFERENCE)
    shorter = arms.summary(SOME["tuned"]["windows"][:2])
    assert arms.paired(shorter, REFERENCE)[0] == pytest.approx(-0.19)
    with pytest.raises(ValueError, match="at least two"):
        arms.interval(result("short", (1.0,), base=(3.0,)))


def test_verdicts_by_interval():
    found = arms.verdicts(SOME.values(), REFERENCE)
    names = {verdict: [name for name, _ in entries] for verdict, entries in found.items()}
    assert names["better"] == ["gptq-3-sink", "tuned"] and names["undecided"] == ["no-refit"]
    assert names["worse"] == ["gain-1", "new-idea", "bits-1.5", "gptq-2-sink", "hqq-2.5-own"]


@pytest.mark.parametrize(
    ("name", "family"),
    [("leech-2", "leech"), ("gptq-3-sink", "gptq-sink"), ("bits-1.5", "bits"), ("no-rotation", "no-rotation")]
    + [("trellis12-2", "trellis12"), ("damping-0.1", "damping")],
)
def test_family(name, family):
    assert arms.family(name) == family


def test_nominal_bits():
    rates = {2.28: 2, 1.9999: 2, 2.5: 2, 1.53: 1, 3.3: 3, 4.31: 4}
    assert {rate: arms.nominal({"bits_per_weight": rate}) for rate in rates} == rates


def test_methods_and_changes():
    chosen = {name for name in SOME if llm_plots.is_method(name)}
    assert not llm_plots.is_method("spherical-gain-2") and not llm_plots.is_method("damping-0.1")
    assert chosen == {"leech-2", "gptq-2-sink", "gptq-3-sink", "hqq-2.5-own", "bits-1.5"}


def test_table():
    lines = arms.table(list(SOME.values()), "leech-2")
    assert len(lines) == 1 + len(SOME) and lines[1].startswith("gptq-3-sink")
    tuned = next(line for line in lines if line.startswith("tuned"))
    assert "  4  0.600 0.119" in tuned and tuned.endswith("-0.200 0.026")
    assert "minus" in lines[0] and len(arms.table([result("one", (1.0,), base=(3.0,))], "one")[1].split()) == 6


def test_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(REFERENCE))
    assert arms.read(tmp_path) == {"leech-2": REFERENCE}
    for broken in ("{", "[]", '{"arm": "x"}', json.dumps({**REFERENCE, "windows": []})):
        (tmp_path / "b.json").write_text(broken)
        with pytest.raises(LLVQError, match="b.json"):
            arms.read(tmp_path)


def test_committed_results_are_consistent():
    """Every committed arm: one set of windows, and means that follow from them."""
    found = arms.read(RESULTS)
    for name, item in found.items():
        again = arms.summary(item["windows"])
        assert all(item[key] == pytest.approx(again[key]) for key in again if key != "windows"), name
        assert item["bits_per_weight"] == pytest.approx(item["bits"] / item["weights"]), name
        assert len(item["windows"]) >= 4 and arms.paired(item, found["leech-2"])
        for window in item["windows"]:
            assert window["excess"] == pytest.approx(
                window["nats_per_token"] - window["baseline_nats_per_token"]
            )


def test_changes_are_drawn_with_their_intervals():
    rows = llm_plots.change_rows(SOME, "leech-2")
    assert [(step, text) for step, text, _ in rows] == [
        ("gain", "one gain bit"),
        ("row scales", "not refitted"),
        ("fine-tuning", "scales, by distillation"),
        ("other", "text of new-idea"),
    ]
    fig = llm_plots.changes(SOME, "leech-2")
    dots = [container.lines[0].get_xdata()[0] for container in fig.axes[0].containers]
    assert dots == pytest.approx([mean for _, _, (mean, _, _) in rows])
    markers = [container.lines[0].get_marker() for container in fig.axes[0].containers]
    assert markers == [">", "o", "<", ">"]
    assert fig.axes[0].texts[0].get_text() == "+0.035" and plots.show(fig, "dots").svg
    fewer = {**SOME["no-refit"], "windows": SOME["no-refit"]["windows"][:3], "bits_per_weight": 2.69}
    fewer = {**SOME, "no-refit": fewer}
    assert "not refitted (2.69 bits, 3 windows)" in [
        text for _, text, _ in llm_plots.change_rows(fewer, "leech-2")
    ]
    with pytest.raises(ValueError, match="must hold a change"):
        llm_plots.changes({"leech-2": REFERENCE}, "leech-2")


def test_rates_hold_every_method():
    fig = llm_plots.rates(SOME)
    drawn = {
        container.get_label(): list(zip(*container.lines[0].get_data(), strict=True))
        for container in fig.axes[0].containers
    }
    assert drawn["Leech, fixed rate"] == [(1.53, pytest.approx(1.8)), (2.02, pytest.approx(0.8))]
    assert [bits for bits, _ in drawn["GPTQ, knowing the sink"]] == [2.28, 3.3]
    assert "Leech, scales fine-tuned" in drawn and "hqq-own" in drawn and len(drawn) == 4
    plots.show(fig, "methods")


def test_maps_and_windows():
    entries = [
        {
            "name": f"model.layers.{index}.mlp.{kind}",
            "proxy_error": 0.01 * (index + 1),
            "sqnr_db": 10.0 - index,
        }
        for index in range(3)
        for kind in ("up_proj", "down_proj")
    ]
    kinds, values = llm_plots._grid({"layers": entries[:-1]}, "proxy_error")
    assert kinds == ["up_proj", "down_proj"] and np.isnan(values[1, 2])
    assert values[0].tolist() == pytest.approx([0.01, 0.02, 0.03])
    plots.show(llm_plots.layers({"layers": entries}), "maps")
    fig = llm_plots.windows(SOME, ["leech-2", "tuned"])
    original, leech = (line.get_ydata() for line in fig.axes[0].lines[:2])
    assert original.tolist() == sorted(BASE) and leech.tolist() == pytest.approx([3.2, 3.7, 3.8, 4.4])
    plots.show(fig, "windows")
