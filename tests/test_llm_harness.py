"""benchmarks/llm_harness.py and its arms on a tiny model: bits by hand, resumption."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from doubles import ScalarBlock, random_hessian, some_text, tiny_llama

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import llm_arms
from llm_arms import Arm, Matrix, ablation, alone, blocks, groups, mixed, rivals
from llm_harness import Bench

from llvq_mini.codebook import ShapeGain
from llvq_mini.errors import LLVQError
from llvq_mini.layer import prepare, quantize_linear
from llvq_mini.sensitivity import Sensitivity

TEXTS = some_text(4000), some_text(3000)[::-1]


def matrix(rows=32, columns=64, name="model.layers.0.self_attn.v_proj"):
    weight = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    plain = random_hessian(columns, 1)
    first = np.outer(np.ones(columns), np.ones(columns))
    return Matrix(
        name, weight, plain, first, 5, Sensitivity(random_hessian(columns, 2), random_hessian(rows, 3))
    )


def bench(tmp_path, work="work", **options):
    source = tmp_path / "model"
    if not source.exists():
        tiny_llama(source, hidden=48, layers=2)
    lines = []
    options = {"windows": 3, "context": 64, "evaluated": 3, "texts": TEXTS, **options}
    made = Bench(
        tmp_path / work, source=str(source), results=tmp_path / f"{work}-results", say=lines.append, **options
    )
    return made, lines


def test_arm_names_are_unique_and_say_what_they_do():
    arms = rivals() + ablation()
    assert len({arm.name for arm in arms}) == len(arms) and all(arm.text for arm in arms)


def test_statistics_by_name():
    m = matrix()
    assert np.array_equal(m.hessian("plain"), m.plain)
    assert np.array_equal(m.hessian("sink"), m.plain + 4 * m.first)
    assert np.array_equal(replace(m, name="q_proj").hessian("sink"), m.plain)
    assert np.array_equal(m.hessian("fisher"), m.sensitivity.hessian(m.plain))
    assert np.array_equal(m.hessian("values"), m.hessian("fisher"))
    without = replace(m, name="q_proj", sensitivity=None)
    assert np.array_equal(without.hessian("values"), m.plain)
    with pytest.raises(ValueError, match="needs Fisher"):
        without.hessian("fisher")


def test_rotations_are_what_they_say():
    """No rotation equals rounding the blocks of the matrix as it is; both rotations decode to the same space."""
    m = matrix(columns=48)
    plain = blocks(ScalarBlock, rotation="none", feedback=False, refit=False)(m)
    scale = np.sqrt(np.square(m.weight).mean(axis=1)).astype(np.float16).astype(np.float32)[:, None]
    book = ScalarBlock()
    expected = book.decode(book.encode((m.weight / scale).reshape(-1, 24))).reshape(m.weight.shape) * scale
    assert np.isclose(plain.dense, expected, atol=1e-4).mean() > 0.99 and plain.codes is None
    both = blocks(ScalarBlock, rotation="both", feedback=False)(m)
    assert np.square(both.dense - m.weight).mean() < 0.2
    own = blocks(ScalarBlock, hessian="plain")(m)
    linear, report = quantize_linear(m.weight, prepare(m.plain, 5), ScalarBlock())
    assert np.array_equal(own.dense, linear.dequantize()) and own.bits == report.bits


def test_bits_of_arms():
    m = matrix(columns=96)
    assert blocks(ScalarBlock)(m).bits == 32 * (4 * 48 + 16)
    assert groups(2, None)(m).bits == 32 * (96 * 2 + 2 * 18)
    assert groups(3, "fisher")(m).bits == 32 * (96 * 3 + 2 * 19) + 96 * 16
    trellis = blocks(llm_arms._trellis(2, 8), unit=16)(m)
    assert trellis.bits == 32 * (96 * 2 + 16)


def test_tiles_go_down_the_rows():
    """A trellis of eight state bits loses about 0.085 of the weights' energy; shuffled rows would lose more than 1."""
    m = matrix(columns=96)
    done = blocks(llm_arms._trellis(2, 8), feedback=False, unit=16)(m)
    assert np.square(done.dense - m.weight).mean() / np.square(m.weight).mean() < 0.1


def test_bits_of_spherical_arms():
    m = matrix(columns=96)
    arms = {arm.name: arm for arm in ablation()}
    run = {
        name: arms[name].plan([])(m) for name in ("norms-kept", "spherical", "spherical-gain-1", "act-order")
    }
    assert run["norms-kept"].bits == run["spherical"].bits == 32 * (4 * (48 + 16) + 16)
    assert run["spherical-gain-1"].bits == run["act-order"].bits == 32 * (4 * 48 + 16)
    loss = {
        name: np.trace((q.dense - m.weight) @ m.hessian("sink") @ (q.dense - m.weight).T)
        for name, q in run.items()
    }
    assert loss["spherical"] < loss["norms-kept"] < loss["spherical-gain-1"]


def test_a_norm_gain_is_the_level_nearest_to_the_norm():
    book, x = llm_arms.NormGain(4, 1), np.random.default_rng(0).standard_normal((500, 24)) * 1.05
    assert np.allclose(book.levels, [4.3157, 5.4413], atol=1e-4)
    found, norm = np.linalg.norm(book.decode(book.encode(x)), axis=1), np.linalg.norm(x, axis=1)
    expected = book.levels[np.abs(norm[:, None] - book.levels).argmin(axis=1)]
    assert np.allclose(found, expected, rtol=1e-6)
    assert np.array_equal(ShapeGain(4, 1, book.levels).decode(book.encode(x)), book.decode(book.encode(x)))
    error = [np.square(x - b.decode(b.encode(x))).mean() for b in (book, ShapeGain(4, 1))]
    assert error[1] < error[0] and book.bits == ShapeGain(4, 1).bits


def test_falling_diagonal():
    assert llm_arms.by_diagonal(np.diag([1.0, 1, 4, 4, 2, 2]), 2).tolist() == [1, 2, 0]


def test_mixed_rates_go_where_the_loss_is():
    class Coarse(ScalarBlock):
        bits, bits_per_weight = 24, 1.0
        levels, shifts = np.array([-0.8, 0.8], dtype=np.float32), np.arange(24, dtype=np.uint64)

        def decode(self, codes):
            return self.levels[((codes[:, None] >> self.shifts) & np.uint64(1)).astype(np.int64)]

    loud, quiet = matrix(name="loud"), matrix(name="quiet")
    loud = replace(loud, sensitivity=replace(loud.sensitivity, outputs=100 * loud.sensitivity.outputs))
    run = mixed([Coarse, ScalarBlock], 1.5)([quiet, loud])
    assert run(loud).bits == blocks(ScalarBlock)(loud).bits
    assert run(quiet).bits == blocks(Coarse)(quiet).bits < run(loud).bits


@pytest.mark.slow
def test_entropy_coded_bits_are_measured():
    arm = next(arm for arm in rivals() if arm.name == "entropy-2")
    done = arm.plan([])(matrix(192, 192))
    assert 1.9 < (done.bits - 192 * 16) / 192**2 < 2.15


@pytest.mark.slow
def test_stopped_and_continued_is_the_same(tmp_path):
    arm = Arm("scalar", "scalar", alone(blocks(ScalarBlock)))
    arm = replace(arm, plan=alone(blocks(ScalarBlock, hessian="values")), fisher=True)
    whole, _ = bench(tmp_path, "whole")
    expected = whole.run(arm)
    assert len(expected["windows"]) == 3 and expected["bits_per_weight"] > 2
    assert expected["weights"] == 2 * (2 * 48 * 48 + 2 * 24 * 48 + 3 * 48 * 88)
    for stop in range(1, 12):

        def fuse(line, left=[stop]):  # noqa: B006
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        made, _ = bench(tmp_path, "parts")
        made.say = fuse
        try:
            result = made.run(arm)
            break
        except KeyboardInterrupt:
            continue
    same = ("windows", "bits", "excess", "kl")
    assert {key: result[key] for key in same} == {key: expected[key] for key in same}
    made.clean(arm)
    assert not (made.work / "arms" / "scalar").exists() and made.run(arm) == result
    with pytest.raises(LLVQError, match="another"):
        bench(tmp_path, "parts", windows=2)


@pytest.mark.slow
def test_fine_tuning_helps_and_costs_no_bit(tmp_path):
    spec = {"kind": "tapered"}
    made, lines = bench(tmp_path)
    book = ScalarBlock()
    original, llm_harness = None, sys.modules["llm_harness"]
    original, llm_harness.from_spec = llm_harness.from_spec, lambda given: book
    try:
        base = Arm("base", "base", alone(blocks(ScalarBlock)), lambda: spec)
        tuned = replace(base, name="tuned", tune_steps=12)
        before, after = made.run(base), made.run(tuned)
    finally:
        llm_harness.from_spec = original
    assert after["excess"] < before["excess"] and after["bits"] == before["bits"]
    assert sum("step" in line for line in lines) == 12
