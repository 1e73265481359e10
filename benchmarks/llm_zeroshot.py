"""Zero-shot accuracy of dense model folders on two tasks made from held-out text, by lm-eval, without a network.

    python benchmarks/llm_zeroshot.py original=smollm2-135m leech-2=FOLDER e8p-2=FOLDER --work FOLDER
    python benchmarks/llm_zeroshot.py original=smollm2-135m --limit 50      # a look; prints only
    python benchmarks/llm_zeroshot.py --table

A model is NAME=FOLDER, a plain Hugging Face folder: `llvq export F --to dense` makes one of a quantized model, and
llm_libraries.py --keep leaves one under WORK/arms/NAME/dense. The tasks (llm_zeroshot_items.py) are written as an
ordinary lm-eval task folder, WORK/tasks, which `lm_eval --include_path` reads as well; lm-eval runs in an environment
of its own (llm_libraries.py). A model takes a quarter of an hour of one core. benchmarks/results/llm_zeroshot.json
is rewritten after every model; one that is there under the same name, with the same items, is not run again.

Standard errors are lm-eval's, of a mean over items. Differences to `original` are paired over items.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from llm_libraries import run_job
from llm_zeroshot_items import last_word, next_sentence

from llvq_mini import embedded
from llvq_mini.files import write_json
from llvq_mini.models import resolve
from llvq_mini.report import provenance

RESULT = Path(__file__).parent / "results" / "llm_zeroshot.json"
REFERENCE = "original"
SHOWN = (("next_sentence", "acc"), ("next_sentence", "acc_norm"), ("last_word", "acc"))
_COMMON = {"dataset_path": "json", "test_split": "test", "metadata": {"version": 1.0}}
TASKS: dict[str, dict[str, Any]] = {
    "next_sentence": {
        **_COMMON,
        "output_type": "multiple_choice",
        "doc_to_text": "{{context}}",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")
        ],
    },
    "last_word": {
        **_COMMON,
        "output_type": "loglikelihood",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{' ' + answer}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
}


def write_tasks(folder: Path, text: str, count: int = 300) -> str:
    """The items as one JSONL a task and the tasks' descriptions (JSON is YAML); the SHA-256 of the items."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for name, make in (("next_sentence", next_sentence), ("last_word", last_word)):
        lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in make(text, count))
        path = folder / f"{name}.jsonl"
        path.write_text(lines, encoding="utf-8")
        digest.update(lines.encode())
        task = {"task": name, "dataset_kwargs": {"data_files": {"test": str(path.absolute())}}, **TASKS[name]}
        (folder / f"{name}.yaml").write_text(json.dumps(task, indent=1) + "\n", encoding="utf-8")
    return digest.hexdigest()


def difference(one: str, other: str) -> tuple[float, float]:
    """Mean paired difference of two strings of 0 and 1, and its standard error."""
    values = np.array([int(a) - int(b) for a, b in zip(one, other, strict=True)], dtype=np.float64)
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def table(models: dict[str, Any]) -> list[str]:
    """One line a model: accuracies and their standard errors, with the paired difference to the original."""
    lines = [f"{'model':16s}" + "".join(f"  {f'{task} {metric}':>34s}" for task, metric in SHOWN)]
    for name, found in models.items():
        line = f"{name:16s}"
        for task, metric in SHOWN:
            figures = found["tasks"][task]
            cell = f"{figures[metric]:.1%} +- {figures[f'{metric}_se']:.1%}"
            if REFERENCE in models and name != REFERENCE:
                base = models[REFERENCE]["tasks"][task][f"{metric}_items"]
                mean, error = difference(figures[f"{metric}_items"], base)
                cell += f" ({mean:+.1%} +- {error:.1%})"
            line += f"  {cell:>34s}"
        lines.append(line)
    return lines


def run(models: dict[str, str], work: Path, limit: int | None) -> dict[str, Any]:
    """Evaluate what is missing; the models by name, with those that were there."""
    items = write_tasks(work / "tasks", embedded.evaluation_text())
    known = json.loads(RESULT.read_text()) if RESULT.exists() and limit is None else {"models": {}}
    if known.get("items") not in (None, items):
        known = {"models": {}}
    for name, folder in models.items():
        if name in known["models"]:
            continue
        job = {
            "library": "lm-eval",
            "out": str((work / f"{name}.json").absolute()),
            "source": str(resolve(folder)),
            "tasks": str((work / "tasks").absolute()),
            "options": {"limit": limit},
        }
        known["models"][name] = {**run_job(work, job), "meta": provenance()}
        if limit is None:
            write_json(RESULT, {"items": items, "models": known["models"]})
    return known["models"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="NAME=FOLDER", help="models to evaluate")
    parser.add_argument(
        "--work", type=Path, default=embedded.cache_folder() / "arms", help="folder to work in"
    )
    parser.add_argument(
        "--limit", type=int, help="the first LIMIT items of each task only; nothing is written"
    )
    parser.add_argument("--table", action="store_true", help="only show the results that are there")
    options = parser.parse_args()
    named = dict(model.split("=", 1) if "=" in model else (model, "") for model in options.models)
    for name, folder in named.items():
        if not folder:
            parser.error(f"'{name}' is not NAME=FOLDER")
    models = (
        json.loads(RESULT.read_text())["models"] if options.table else run(named, options.work, options.limit)
    )
    for line in table(models):
        print(line)
    short = {name: {task: found["tasks"][task]["acc"] for task in TASKS} for name, found in models.items()}
    print(json.dumps(short))


if __name__ == "__main__":
    main()
