"""What runs inside a quantization library's own environment: one job, described by a JSON file, and nothing of ours.

    python llm_library_jobs.py JOB.json

    {"library": "hqq", "out": FOLDER, "source": MODEL_FOLDER, "linears": [NAMES], "options": {"nbits": 2, ...},
     "windows": FILE.npz}    (token ids to calibrate with, for libraries that do)
    {"library": "glq", "out": FILE.npz, "matrices": FILE.npz, "options": {"codebook": "e8" or "trellis"}}
    {"library": "lm-eval", "out": FILE.json, "source": MODEL_FOLDER, "tasks": FOLDER, "options": {"limit": null}}

A whole model comes back as a plain Hugging Face folder with every named linear quantized and expanded to float32
again; matrices come back as an array under each name, an evaluation as the tasks' figures with a digit for every item.
Quantization leaves a record: the library's version, CPU seconds of
quantization, and the bits that the library's own scales, zero points and codes take:

    bits          codes at their nominal width, every scale, zero point and sign as stored
    packed_bits   the same with codes as the library packs them (HQQ puts ten 3-bit codes into 32 bits)

The library is called through its public functions with its documented defaults, except where an option says otherwise.
This file imports only PyTorch, safetensors and the library, so that any environment can run it. llm_libraries.py,
llm_layers.py and llm_zeroshot.py write the jobs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch


def hqq_linear(weight: torch.Tensor, options: dict[str, Any]) -> tuple[torch.Tensor, int, int]:
    """Half-quadratic quantization of one matrix: dense, bits, packed bits. Scales and zero points are float16."""
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    rows, columns = weight.shape
    linear = torch.nn.Linear(columns, rows, bias=False)
    linear.weight.data = weight.clone()
    packed = HQQLinear(linear, BaseQuantizeConfig(**options), compute_dtype=torch.float16, device="cpu")
    grids = sum(packed.meta[key].nbytes for key in ("scale", "zero"))
    dense = packed.dequantize().float()
    return dense, options["nbits"] * weight.numel() + 8 * grids, 8 * (packed.W_q.nbytes + grids)


def read_tensors(source: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder by name."""
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(source.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def write_model(job: dict[str, Any], tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
    """A plain Hugging Face folder with a record, complete or not at all."""
    from safetensors.torch import save_file

    source, out = Path(job["source"]), Path(job["out"])
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
    for path in source.glob("*.json"):
        if not path.name.endswith(".index.json"):
            shutil.copyfile(path, partial / path.name)
    (partial / "record.json").write_text(json.dumps(record))
    os.rename(partial, out)


def hqq_model(job: dict[str, Any]) -> dict[str, Any]:
    """Every named linear of a model by HQQ, one at a time."""
    tensors = read_tensors(Path(job["source"]))
    record: dict[str, Any] = {"bits": 0, "packed_bits": 0, "weights": 0}
    started = time.process_time()
    for number, name in enumerate(job["linears"]):
        key = f"{name}.weight"
        dense, bits, packed_bits = hqq_linear(tensors[key].float(), job["options"])
        tensors[key] = dense.contiguous()
        record["bits"] += bits
        record["packed_bits"] += packed_bits
        record["weights"] += dense.numel()
        print(f"hqq {number + 1}/{len(job['linears'])} {name}", flush=True)
    record |= {"cpu_seconds": time.process_time() - started, "version": version("hqq")}
    write_model(job, tensors, record)
    return record


def llmcompressor_model(job: dict[str, Any]) -> dict[str, Any]:
    """GPTQ by llmcompressor on calibration windows, sequentially; asymmetric groups, "static" order of columns.

    Scales are rounded to float16, as checkpoints store them, and counted so, zero points with the bits of a code.
    """
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from transformers import AutoModelForCausalLM

    group, nbits = job["options"]["group_size"], job["options"]["nbits"]
    with np.load(job["windows"], allow_pickle=False) as given:
        rows = given["windows"].tolist()
    model = AutoModelForCausalLM.from_pretrained(job["source"], dtype=torch.float32)
    weights = {"num_bits": nbits, "type": "int", "symmetric": False, "strategy": "group", "group_size": group}
    recipe = GPTQModifier(
        config_groups={"group_0": {"targets": ["Linear"], "weights": weights}}, ignore=["lm_head"]
    )
    started = time.process_time()
    oneshot(
        model=model,
        recipe=recipe,
        dataset=Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}),
        num_calibration_samples=len(rows),
        max_seq_length=len(rows[0]),
        shuffle_calibration_samples=False,
    )
    seconds = time.process_time() - started
    tensors, modules = read_tensors(Path(job["source"])), dict(model.named_modules())
    record: dict[str, Any] = {"bits": 0, "weights": 0, "cpu_seconds": seconds}
    for name in job["linears"]:
        module = modules[name]
        scale = module.weight_scale.detach().float()
        dense = module.weight.detach().float().reshape(*scale.shape, group)
        dense = dense * (scale.half().float() / scale)[..., None]
        tensors[f"{name}.weight"] = dense.reshape(module.weight.shape).contiguous()
        record["bits"] += nbits * dense.numel() + (16 + nbits) * scale.numel()
        record["weights"] += dense.numel()
    record |= {"packed_bits": record["bits"], "version": version("llmcompressor")}
    write_model(job, tensors, record)
    return record


def glq_matrices(job: dict[str, Any]) -> dict[str, Any]:
    """Matrices NAME.weight under Hessians NAME.hessian by glq's own quantization of a layer at 2 bits.

    `fixed` is what a matrix costs whatever its number of rows: the column signs and one scale.
    """
    from glq.quantize_model import quantize_layer_e8_shell_rht

    kind = job["options"]["codebook"]
    if kind == "trellis":
        from glq.trellis import TrellisCodebook

        codebook: Any = TrellisCodebook(variant="3inst", K=2, device="cpu")
    else:
        from glq.codebook import E8ShellCodebook

        codebook = E8ShellCodebook(device="cpu", verbose=False)
    arrays: dict[str, np.ndarray] = {}
    record: dict[str, Any] = {"bits": {}, "fixed": {}}
    started = time.process_time()
    with np.load(job["matrices"], allow_pickle=False) as given:
        for name in sorted(key.removesuffix(".weight") for key in given.files if key.endswith(".weight")):
            weight = torch.from_numpy(given[f"{name}.weight"])
            hessian = torch.from_numpy(given[f"{name}.hessian"]).float()
            dense, stored, _ = quantize_layer_e8_shell_rht(weight, hessian, codebook, bpw=2)
            arrays[f"{name}.dense"] = dense.float().numpy()
            record["bits"][name] = 8 * sum(tensor.nbytes for tensor in stored.values())
            record["fixed"][name] = 8 * (stored["SV"].nbytes + stored["Wscale"].nbytes)
            print(f"glq {kind} {name} {time.process_time() - started:.0f} s", flush=True)
    record |= {"cpu_seconds": time.process_time() - started, "version": version("glq")}
    write_arrays(Path(job["out"]), arrays, record)
    return record


def hqq_matrices(job: dict[str, Any]) -> dict[str, Any]:
    """Matrices NAME.weight by HQQ, which uses no Hessian."""
    arrays: dict[str, np.ndarray] = {}
    record: dict[str, Any] = {"bits": {}, "fixed": {}}
    started = time.process_time()
    with np.load(job["matrices"], allow_pickle=False) as given:
        for name in sorted(key.removesuffix(".weight") for key in given.files if key.endswith(".weight")):
            dense, bits, _ = hqq_linear(torch.from_numpy(given[f"{name}.weight"]), job["options"])
            arrays[f"{name}.dense"] = dense.numpy()
            record["bits"][name], record["fixed"][name] = bits, 0
    record |= {"cpu_seconds": time.process_time() - started, "version": version("hqq")}
    write_arrays(Path(job["out"]), arrays, record)
    return record


def evaluate_tasks(job: dict[str, Any]) -> dict[str, Any]:
    """Zero-shot tasks of a folder on a model by lm-eval: every metric with its standard error, and each item's."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=job["tasks"], include_defaults=False)
    names = sorted(path.stem for path in Path(job["tasks"]).glob("*.yaml"))
    started = time.process_time()
    found: Any = simple_evaluate(
        model="hf",
        model_args={"pretrained": job["source"], "dtype": "float32"},
        tasks=names,
        device="cpu",
        batch_size=1,
        limit=job["options"]["limit"],
        bootstrap_iters=100,
        task_manager=manager,
    )
    record: dict[str, Any] = {"tasks": {}}
    for name in names:
        samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
        task: dict[str, Any] = {"items": len(samples)}
        for metric in [key for key in ("acc", "acc_norm") if key in samples[0]]:
            task[metric] = found["results"][name][f"{metric},none"]
            task[f"{metric}_se"] = found["results"][name][f"{metric}_stderr,none"]
            task[f"{metric}_items"] = "".join(str(int(sample[metric])) for sample in samples)
        record["tasks"][name] = task
    record |= {"cpu_seconds": time.process_time() - started, "version": version("lm-eval")}
    Path(job["out"]).write_text(json.dumps(record))
    return record


def write_arrays(out: Path, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
    """Arrays and their record in one file that is there completely or not at all."""
    partial = out.with_name(f".{out.name}.partial")
    with open(partial, "wb") as stream:
        np.savez(stream, record=np.array(json.dumps(record)), **arrays)
    os.replace(partial, out)


JOBS = {
    ("hqq", "source"): hqq_model,
    ("hqq", "matrices"): hqq_matrices,
    ("glq", "matrices"): glq_matrices,
    ("llmcompressor", "source"): llmcompressor_model,
    ("lm-eval", "tasks"): evaluate_tasks,
}


def main(path: str) -> None:
    """Do the job of a file; the record is the last line that is printed."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    torch.manual_seed(0)
    kind = next(key for key in ("tasks", "matrices", "source") if key in job)
    print(json.dumps(JOBS[job["library"], kind](job)))


if __name__ == "__main__":
    main(sys.argv[1])
