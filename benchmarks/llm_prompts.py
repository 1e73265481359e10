"""The same prompts continued by the embedded model at several rates, each word judged by the original.

    python benchmarks/llm_prompts.py --work FOLDER      # minutes; writes benchmarks/results/llm_prompts.json

The arms are those of llm_rivals.py and llm_ablation.py. Every model continues every prompt greedily, always with its
most likely next token, so a text is a property of the model alone. The original then reads what was written. For token
y_i behind the prompt and the model's own y_1 ... y_{i-1} the file keeps

    surprise  -log2 p_original(y_i)                 in bits: 0 means expected, 10 one chance in a thousand
    instead   the original's own most likely token there, and its probability
    missed    the reverse: mean bits a token by which the model itself is surprised at the original's text

A model that is as good as the original surprises it little even where it takes another way. But so does one that goes
round in circles; `missed` does not fall for that. What one text of 40 tokens does not say: how often this happens; that
is what the arms' windows are for. Prompts were fixed before any text was seen. Dense weights of an arm stay in
FOLDER/arms; a layer that is there is not quantized again. The file is written after every arm and holds those that are
finished.

Prints the texts for people and a summary in JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from llm_arms import ablation, rivals
from llm_harness import Bench

from llvq_mini import embedded
from llvq_mini.files import write_json
from llvq_mini.models import load_source
from llvq_mini.report import provenance

TARGET = Path(__file__).parent / "results" / "llm_prompts.json"
TOKENS = 40
PROMPTS = (
    "The capital of France is",
    "Water boils when",
    "The Moon is",
    "Once upon a time there was a little robot who",
    "To bake bread, you need",
    "The three most important inventions in history are",
)
#: arm, seed of its rotations, what readers see; in the order of the work, the long ones last
ARMS = (
    ("original", 0, "the original, as the book expands it"),
    ("descent-1", 1, "Leech, tapered, a pass of descent"),
    ("e8p-2", 1, "E8P, same rotation and feedback"),
    ("gptq-2", 0, "GPTQ, groups of 64"),
    ("rtn-2", 0, "round to nearest, groups of 64"),
    ("leech-4", 0, "Leech, two stages"),
    ("leech-3", 0, "Leech, two stages"),
)


def continuation(model: Any, tokenizer: Any, prompt: str) -> list[int]:
    """Ids of the greedy continuation, up to the end of the text if it comes."""
    ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=TOKENS,
            pad_token_id=tokenizer.eos_token_id,
        )
    found = output[0, ids.shape[1] :].tolist()
    return found[: found.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in found else found


def pieces(tokenizer: Any, ids: list[int]) -> list[str]:
    """The text that each token adds; together they are the text."""
    texts = [tokenizer.decode(ids[:n], clean_up_tokenization_spaces=False) for n in range(len(ids) + 1)]
    return [after[len(before) :] for before, after in zip(texts, texts[1:], strict=False)]


def log_chances(model: Any, tokenizer: Any, prompt: str, ids: list[int]) -> torch.Tensor:
    """log2 p of all tokens at the place of each of `ids` behind the prompt, (len(ids), vocabulary)."""
    start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([start + ids])).logits[0, len(start) - 1 : -1]
    return logits.double().log_softmax(-1) / math.log(2)


def at(chances: torch.Tensor, ids: list[int]) -> list[float]:
    """Surprise at each token, in bits."""
    return [round(-value, 3) for value in chances[torch.arange(len(ids)), torch.tensor(ids)].tolist()]


def judged(original: Any, tokenizer: Any, prompt: str, ids: list[int]) -> dict[str, Any]:
    """Pieces, the original's surprise at each in bits, and what it would have said instead with which probability."""
    chances = log_chances(original, tokenizer, prompt, ids)
    top = chances.max(-1)
    return {
        "pieces": pieces(tokenizer, ids),
        "surprise": at(chances, ids),
        "instead": [tokenizer.decode([token]) for token in top.indices.tolist()],
        "chance": [round(2**value, 4) for value in top.values.tolist()],
    }


def arm_model(name: str, seed: int, work: Path) -> tuple[Any, float]:
    """A model with the arm's weights, and its measured bits a weight."""
    bench = Bench(work, say=lambda line: print(line, flush=True), seed=seed)
    arm = next(arm for arm in [*rivals(), *ablation()] if arm.name == name)
    return bench.student(arm)


def common(one: list[str], other: list[str]) -> int:
    """How many first pieces agree."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return same.index(False) if False in same else len(same)


def main() -> None:
    """Continue, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--work", type=Path, default=embedded.cache_folder() / "arms", help="folder to work in"
    )
    work = parser.parse_args().work
    meta = provenance()  # now: the first write of the result would make the checkout look changed
    source = load_source(embedded.NAME)
    original, tokenizer = source.model, source.tokenizer
    found: list[dict[str, Any]] = []
    expected: list[list[int]] = []
    for name, seed, text in ARMS:
        model, bits = (original, None) if name == "original" else arm_model(name, seed, work)
        ids = [continuation(model, tokenizer, prompt) for prompt in PROMPTS]
        expected = expected or ids
        written = [judged(original, tokenizer, *pair) for pair in zip(PROMPTS, ids, strict=True)]
        found.append({"arm": name, "text": text, "bits_per_weight": bits, "seed": seed, "texts": written})
        for entry, first in zip(written, found[0]["texts"], strict=True):
            entry["same"] = common(entry["pieces"], first["pieces"])
        for entry, prompt, own in zip(written, PROMPTS, expected, strict=True):
            missed = at(log_chances(model, tokenizer, prompt, own), own)
            entry["missed"] = round(sum(missed) / len(missed), 3)
        write_json(TARGET, {"meta": meta, "tokens": TOKENS, "prompts": list(PROMPTS), "arms": found})
        for prompt, entry in zip(PROMPTS, written, strict=True):
            print(f"{name:9s} {prompt}{''.join(entry['pieces'])!r}", flush=True)
    means = {}
    for arm in found:
        values = [value for entry in arm["texts"] for value in entry["surprise"]]
        means[arm["arm"]] = round(sum(values) / len(values), 3)
    print(json.dumps(means))


if __name__ == "__main__":
    main()
