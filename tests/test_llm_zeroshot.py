"""benchmarks/llm_zeroshot.py and its items: they can be found in the text, answers are true, differences are paired."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import llm_zeroshot
import llm_zeroshot_items as items
from llm_zeroshot import difference, table, write_tasks

WORDS = "lattice vector sphere packing minimal golay code point shell norm kissing number dense hole".split()


def made_text(paragraphs: int = 60, seed: int = 3) -> str:
    """Paragraphs of sentences that are all different; many end with a word that stood earlier."""
    rng = np.random.default_rng(seed)

    def sentence() -> str:
        words = [WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(9, 14))]
        return f"Number {rng.integers(10**6)} {' '.join(words)}."

    return "\n\n".join(" ".join(sentence() for _ in range(rng.integers(4, 8))) for _ in range(paragraphs))


TEXT = made_text()


def test_sentences_are_whole():
    text = 'J. R. Smith met Dr. Brown in the U.S. Army. "Why?" he asked. It rained! The 3.5 km were long.'
    assert items.sentences(text) == [
        "J. R. Smith met Dr. Brown in the U.S. Army.",
        '"Why?" he asked.',
        "It rained!",
        "The 3.5 km were long.",
    ]
    for paragraph in TEXT.split("\n\n"):
        assert " ".join(items.sentences(paragraph)) == paragraph


def test_the_next_sentence_follows_and_the_others_do_not():
    made = items.next_sentence(TEXT, 40)
    homes = set()
    for item in made:
        context, choices, true = item["context"], item["choices"], item["choices"][item["answer"]]
        homes.add(next(n for n, part in enumerate(TEXT.split("\n\n")) if f"{context} {true}" in part))
        assert len(choices) == len(set(choices)) == 4 and true not in context
        paragraph = next(part for part in TEXT.split("\n\n") if f"{context} {true}" in part)
        for other in set(choices) - {true}:
            assert other in TEXT and other not in paragraph
        assert all(items.ANSWER[0] <= len(choice) <= items.ANSWER[1] for choice in choices)
        assert items.CONTEXT[0] <= len(context) <= items.CONTEXT[1]
    assert len(homes) == 40  # one item a paragraph, so no two are alike
    counts = np.bincount([item["answer"] for item in made], minlength=4)
    assert counts.min() > 0  # the answer's place gives nothing away


def test_candidates_are_near_in_place_and_length():
    paragraphs = [[f"{'x' * length} {n}." for length in (50, 60, 90)] for n in range(80)]
    found = items._candidates(paragraphs, 40, "y" * 64)
    assert all(len(sentence) in (64, 65) for sentence in found) and len(found) == 3
    assert all(abs(int(re.findall(r"\d+", sentence)[-1]) - 40) <= items.NEARBY for sentence in found)
    assert items._candidates([["one sentence."], ["short."]], 0, "one sentence.") == []


def test_the_last_word_is_in_the_text_and_in_the_passage():
    made = items.last_word(TEXT, 40)
    assert len({item["context"] for item in made}) == 40
    for item in made:
        assert f"{item['context']} {item['answer']}." in TEXT
        assert re.search(rf"\b{item['answer']}\b", item["context"]) and len(item["answer"]) >= 4
        assert items.PASSAGE[0] <= len(item["context"]) + len(item["answer"]) + 2 <= items.PASSAGE[1]


@pytest.mark.parametrize("make", [items.next_sentence, items.last_word])
def test_items_depend_on_text_and_seed_only(make):
    assert make(TEXT, 20) == make(TEXT, 20) != make(TEXT, 20, seed=1)
    with pytest.raises(ValueError, match="at most"):
        make(TEXT, 61)


def test_task_folder(tmp_path):
    digest = write_tasks(tmp_path, TEXT, 12)
    assert digest == write_tasks(tmp_path, TEXT, 12) != write_tasks(tmp_path / "b", made_text(seed=4), 12)
    for name, fields in (
        ("next_sentence", {"context", "choices", "answer"}),
        ("last_word", {"context", "answer"}),
    ):
        task = json.loads((tmp_path / f"{name}.yaml").read_text())
        lines = Path(task["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()
        assert task["task"] == name and len(lines) == 12 and set(json.loads(lines[0])) == fields


def test_paired_difference_and_table(monkeypatch):
    mean, error = difference("1101", "0101")
    assert mean == 0.25 and error == pytest.approx(np.std([1, 0, 0, 0], ddof=1) / 2)
    with pytest.raises(ValueError):
        difference("110", "1101")

    def model(digits: str) -> dict:
        accuracy = {f"{metric}{end}": 0.5 for metric in ("acc", "acc_norm") for end in ("", "_se")}
        tasks = {
            task: {**accuracy, "acc_items": digits, "acc_norm_items": digits}
            for task, _ in llm_zeroshot.SHOWN
        }
        return {"tasks": tasks}

    lines = table({"original": model("0101"), "other": model("1101")})
    assert len(lines) == 3 and "+25.0%" in lines[2] and "(" not in lines[1]


def test_models_that_are_there_are_not_run_again(tmp_path, monkeypatch):
    asked = []

    def job(work, given):
        asked.append(given["library"])
        return {"tasks": {}, "version": "0"}

    monkeypatch.setattr(llm_zeroshot, "run_job", job)
    monkeypatch.setattr(llm_zeroshot, "resolve", Path)
    monkeypatch.setattr(llm_zeroshot, "RESULT", tmp_path / "result.json")
    monkeypatch.setattr(llm_zeroshot.embedded, "evaluation_text", str)
    monkeypatch.setattr(llm_zeroshot, "write_tasks", lambda folder, text: "some items")
    for _ in range(2):
        models = llm_zeroshot.run({"a": "folder"}, tmp_path, None)
    assert asked == ["lm-eval"] and set(models) == {"a"}
    monkeypatch.setattr(llm_zeroshot, "write_tasks", lambda folder, text: "other items")
    llm_zeroshot.run({"b": "folder"}, tmp_path, None)
    assert set(json.loads((tmp_path / "result.json").read_text())["models"]) == {
        "b"
    }  # other items, other table
