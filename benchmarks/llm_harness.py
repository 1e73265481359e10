"""The embedded model under many quantizers: one calibration, one evaluation, and nothing lost when it is stopped.

`Bench(work)` keeps everything under one folder:

    calibration/       token windows; per decoder layer E[x x^T], E[x_0 x_0^T] (forward) and Fisher traces (backward)
    arms/NAME/         a file for every quantized layer, fine-tuning state, a line for every evaluated window
    RESULTS/NAME.json  the finished arm, with the commit that made it

Every file appears complete or not at all, and a file that is there is not made again, so the same command continues.
What was made with other text or other arguments is refused, by a fingerprint in the folder. Dense weights of an arm are
deleted when its result is written; statistics stay for the next arm.

Evaluation is paired: every window gives mean nats of the quantized and of the original model on the same tokens, the
mean divergence and top-1 agreement; differences between arms are over the same windows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llm_arms import Arm, Matrix

from llvq_mini import embedded
from llvq_mini.arms import summary
from llvq_mini.baselines import from_spec
from llvq_mini.errors import LLVQError
from llvq_mini.evaluate import evaluate
from llvq_mini.files import write_json
from llvq_mini.finetune import TuneSettings, scaling_norms, tune
from llvq_mini.layer import QuantizedLinear
from llvq_mini.models import load_source, token_fingerprint, token_windows
from llvq_mini.pipeline import collect_inputs, decoder_layers, entering_states, linears_of
from llvq_mini.report import provenance
from llvq_mini.sensitivity import Sensitivity, layer_sensitivities, score_gradients

RESULTS = Path(__file__).parent / "results" / "llm_arms"
KEPT = ("nats_per_token", "baseline_nats_per_token", "excess", "kl", "top1_agreement", "tokens")


def save_arrays(path: Path, **arrays: Any) -> None:
    """np.savez that appears complete or not at all."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with open(partial, "wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with np.load(path, allow_pickle=False) as stream:
        return {name: stream[name] for name in stream.files}


class Remembered:
    """The original model for `evaluate`, with the final states of every window computed once a process."""

    def __init__(self, model: Any) -> None:
        self.model, self.known = model, dict[bytes, Any]()

    def base_model(self, ids: torch.Tensor, use_cache: bool) -> Any:
        """What the model's body returns for these ids."""
        key = ids.numpy().tobytes()
        if key not in self.known:
            self.known[key] = self.model.base_model(ids, use_cache=use_cache)
        return self.known[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, *ids: Any, **options: Any) -> Any:
        """What the model itself returns."""
        return self.model(*ids, **options)


class Bench:
    """Calibrate once, run arms, evaluate; `say` gets a line for every unit of work."""

    def __init__(
        self,
        work: Path,
        windows: int = 16,
        context: int = 2048,
        evaluated: int = 16,
        source: str = embedded.NAME,
        texts: tuple[str, str] | None = None,
        results: Path = RESULTS,
        say: Callable[[str], None] = print,
        seed: int = 0,
    ) -> None:
        self.work, self.results, self.say, self.seed = work, results, say, seed
        self.source = load_source(source)
        for parameter in self.source.model.parameters():
            parameter.requires_grad_(False)
        calibration, held_out = texts or (embedded.calibration_text(), embedded.evaluation_text())
        tokenizer = self.source.tokenizer
        self.windows = token_windows(tokenizer, calibration, context, windows)
        self.held_out = token_windows(tokenizer, held_out, context, evaluated)
        short = max(2, context // 4)
        self.tune_windows = token_windows(tokenizer, calibration, short, min(4 * windows, 160))
        self.layers = decoder_layers(self.source.model)
        self.original: Any = Remembered(self.source.model)
        self.files = work / "calibration"
        self.files.mkdir(parents=True, exist_ok=True)
        self._same_inputs(source)

    def _same_inputs(self, source: str) -> None:
        """Refuse a folder that holds another model's or text's work."""
        mark = {
            "source": source,
            "calibration": token_fingerprint(self.windows),
            "held_out": token_fingerprint(self.held_out),
        }
        path = self.files / "inputs.json"
        if path.exists() and json.loads(path.read_text()) != mark:
            raise LLVQError(f"'{self.work}' holds work on another model or text; give another folder")
        write_json(path, mark)

    def calibrate(self, fisher: bool) -> None:
        """Statistics of all layers: forward for inputs, backward for Fisher traces if asked for, each layer a file.

        The states between layers stay on the disk until the backward pass has used them.
        """
        wanted = ("plain", "fisher") if fisher else ("plain",)
        if all(self._has(kind, index) for kind in wanted for index in range(len(self.layers))):
            return
        with torch.no_grad():
            first, keywords = entering_states(self.source.model, self.windows)
        self._forward(first, keywords)
        if fisher:
            self._backward(keywords)
            for path in [*self.files.glob("states-*.npz"), *self.files.glob("gradients-*.npz")]:
                path.unlink()

    def _has(self, kind: str, index: int) -> bool:
        return (self.files / f"{kind}-{index:02}.npz").exists()

    def _states(self, index: int) -> list[torch.Tensor]:
        """What enters layer `index` (or leaves the last)."""
        arrays = load_arrays(self.files / f"states-{index:02}.npz")
        return [torch.from_numpy(array)[None] for array in arrays["states"]]

    def _save_states(self, kind: str, index: int, states: list[torch.Tensor]) -> None:
        save_arrays(self.files / f"{kind}-{index:02}.npz", states=torch.cat(states).numpy())

    def _forward(self, states: list[torch.Tensor], keywords: list[dict[str, Any]]) -> None:
        if not self._has("states", 0):
            self._save_states("states", 0, states)
        for index, (_, layer) in enumerate(self.layers):
            if self._has("states", index + 1):
                continue
            started = time.perf_counter()
            states = self._states(index)
            with torch.inference_mode():
                inputs = collect_inputs(layer, states, keywords[index])
            arrays = {}
            for short, leader in inputs.leader.items():
                sums = inputs.sums[leader]
                arrays[f"{short}.leader"] = np.array(leader)
                arrays[f"{leader}.plain"] = sums.hessian()
                arrays[f"{leader}.first"] = sums.total_first / sums.windows
            save_arrays(self.files / f"plain-{index:02}.npz", **arrays)
            self._save_states("states", index + 1, states)
            self.say(f"forward {index} {time.perf_counter() - started:.0f} s")

    def _backward(self, keywords: list[dict[str, Any]]) -> None:
        top = len(self.layers)
        done = [i for i in range(top + 1) if self._has("gradients", i)]
        if done:
            top = min(done)
            arrays = load_arrays(self.files / f"gradients-{top:02}.npz")
            gradients = [torch.from_numpy(array)[None] for array in arrays["states"]]
        else:
            modules = [layer for _, layer in self.layers]
            gradients = score_gradients(self.source.model, modules, self._states(top), seed=0)
            self._save_states("gradients", top, gradients)
            self.say("gradients at the top")
        for index in reversed(range(top)):
            started = time.perf_counter()
            _, layer = self.layers[index]
            found = layer_sensitivities(
                layer, linears_of(layer), self._states(index), keywords[index], gradients
            )
            arrays = {f"{short}.inputs": s.inputs.astype(np.float32) for short, s in found.items()}
            arrays |= {f"{short}.outputs": s.outputs.astype(np.float32) for short, s in found.items()}
            save_arrays(self.files / f"fisher-{index:02}.npz", **arrays)
            self._save_states("gradients", index, gradients)
            (self.files / f"gradients-{index + 1:02}.npz").unlink()
            self.say(f"backward {index} {time.perf_counter() - started:.0f} s")

    def matrices(self, index: int) -> list[Matrix]:
        """The linears of one decoder layer with their statistics."""
        prefix, layer = self.layers[index]
        plain = load_arrays(self.files / f"plain-{index:02}.npz")
        fisher = load_arrays(self.files / f"fisher-{index:02}.npz") if self._has("fisher", index) else {}
        result = []
        for short, module in linears_of(layer).items():
            leader = str(plain[f"{short}.leader"])
            name = f"{prefix}.{short}"
            seed = int.from_bytes(
                hashlib.sha256(f"{self.seed}:{prefix}.{leader}".encode()).digest()[:4], "little"
            )
            sides = [fisher.get(f"{short}.{side}") for side in ("inputs", "outputs")]
            known = [side.astype(np.float64) for side in sides if side is not None]
            statistics = plain[f"{leader}.plain"], plain[f"{leader}.first"]
            traces = Sensitivity(*known) if known else None
            result.append(Matrix(name, module.weight.numpy(), *statistics, seed, traces))
        return result

    def run(self, arm: Arm, first: int | None = None) -> dict[str, Any]:
        """Quantize, fine-tune if the arm says so, evaluate (on the `first` windows), write the result; the result if
        it is there.
        """
        target = self.results / f"{self._key(arm)}.json"
        if target.exists():
            return json.loads(target.read_text())
        self.calibrate(arm.fisher)
        folder = self.work / "arms" / self._key(arm)
        folder.mkdir(parents=True, exist_ok=True)
        record = self._quantize(arm, folder)
        if arm.tune_steps:
            self._tune(arm, folder)
        windows = self._evaluate(arm, folder, self.held_out[:first])
        result = {"meta": provenance(), "arm": arm.name, "text": arm.text, "seed": self.seed}
        result |= {**record, **summary(windows)}
        self.results.mkdir(parents=True, exist_ok=True)
        write_json(target, result)
        return result

    def student(self, arm: Arm) -> tuple[Any, float]:
        """A model with an arm's quantized layers, which are made if they are missing, and its bits a weight."""
        folder = self.work / "arms" / self._key(arm)
        folder.mkdir(parents=True, exist_ok=True)
        if not all((folder / f"layer-{index:02}.npz").exists() for index in range(len(self.layers))):
            self.calibrate(arm.fisher)
        record = self._quantize(arm, folder)
        return self._student(folder), record["bits_per_weight"]

    def _quantize(self, arm: Arm, folder: Path) -> dict[str, Any]:
        """All layers to files; bits and weights over all of them, and seconds."""
        total = {"bits": 0, "weights": 0, "cpu_seconds": 0.0}
        count = len(self.layers)
        missing = any(not (folder / f"layer-{index:02}.npz").exists() for index in range(count))
        run = arm.plan(m for index in range(count) for m in self.matrices(index)) if missing else None
        for index in range(count):
            path = folder / f"layer-{index:02}.npz"
            if run is not None and not path.exists():
                started, cpu = time.perf_counter(), time.process_time()
                arrays: dict[str, Any] = {"bits": 0, "weights": 0}
                for matrix in self.matrices(index):
                    done = run(matrix)
                    arrays["bits"] += done.bits
                    arrays["weights"] += done.dense.size
                    arrays[f"{matrix.name}.dense"] = done.dense
                    if arm.spec is not None and done.codes is not None:
                        arrays[f"{matrix.name}.codes"] = done.codes
                        arrays[f"{matrix.name}.row_scale"] = done.row_scale
                        arrays[f"{matrix.name}.seed"] = matrix.seed
                arrays["cpu_seconds"] = time.process_time() - cpu
                save_arrays(path, **arrays)
                self.say(f"{arm.name} layer {index} {time.perf_counter() - started:.0f} s")
            with np.load(path, allow_pickle=False) as stream:
                for key in total:
                    total[key] += stream[key].item()
        return {**total, "bits_per_weight": total["bits"] / total["weights"]}

    def _student(self, folder: Path) -> Any:
        """A model with the quantized layers in place."""
        student = load_source(self.source.name).model
        modules = dict(student.named_modules())
        with torch.no_grad():
            for index in range(len(self.layers)):
                for key, array in load_arrays(folder / f"layer-{index:02}.npz").items():
                    if key.endswith(".dense"):
                        modules[key.removesuffix(".dense")].weight.copy_(torch.from_numpy(array))
        return student

    def _tune(self, arm: Arm, folder: Path) -> None:
        """Scale fine-tuning; its outcome (row scales, norms) in one file."""
        path = folder / "tuned.npz"
        if path.exists():
            return
        assert arm.spec is not None
        book, linears = from_spec(arm.spec()), {}
        modules = dict(self.source.model.named_modules())
        for index in range(len(self.layers)):
            arrays = load_arrays(folder / f"layer-{index:02}.npz")
            for key in [key for key in arrays if key.endswith(".codes")]:
                name = key.removesuffix(".codes")
                weight = modules[name].weight
                linears[name] = QuantizedLinear(
                    arrays[key],
                    arrays[f"{name}.row_scale"],
                    tuple(weight.shape),
                    arrays[f"{name}.seed"].item(),
                    book,
                )
        student = self._student(folder)
        tuned = tune(
            student,
            linears,
            self.source.model,
            self.tune_windows,
            replace(TuneSettings(), steps=arm.tune_steps),
            folder / "state.safetensors",
            lambda step, loss: self.say(f"{arm.name} step {step} loss {loss:.4f}"),
        )
        arrays = {f"{name}.row_scale": linear.row_scale for name, linear in tuned.items()}
        arrays |= {f"{name}.norm": norm.weight.numpy() for name, norm in scaling_norms(student).items()}
        tuned_modules = dict(student.named_modules())
        arrays |= {f"{name}.dense": tuned_modules[name].weight.numpy() for name in tuned}
        save_arrays(path, **arrays)

    def _evaluate(self, arm: Arm, folder: Path, held_out: np.ndarray) -> list[dict[str, Any]]:
        """One record for every held-out window, written as soon as it is known."""
        path = folder / "windows.json"
        records = json.loads(path.read_text()) if path.exists() else []
        if len(records) >= len(held_out):
            return records
        student = self._student(folder)
        if arm.tune_steps:
            modules = dict(student.named_modules())
            with torch.no_grad():
                for key, array in load_arrays(folder / "tuned.npz").items():
                    name, _, kind = key.rpartition(".")
                    if kind in ("dense", "norm"):
                        modules[name].weight.copy_(torch.from_numpy(array))
        for number in range(len(records), len(held_out)):
            found = evaluate(student, held_out[number : number + 1], self.original)
            records.append({key: found[key] for key in KEPT})
            write_json(path, records)
            self.say(f"{arm.name} window {number} excess {found['excess']:.4f} kl {found['kl']:.4f}")
        return records

    def clean(self, arm: Arm) -> None:
        """Delete an arm's dense weights; its result stays."""
        shutil.rmtree(self.work / "arms" / self._key(arm), ignore_errors=True)

    def _key(self, arm: Arm) -> str:
        """What an arm's files are called: its name, and the seed of the rotations unless it is 0."""
        return f"{arm.name}-seed{self.seed}" if self.seed else arm.name
