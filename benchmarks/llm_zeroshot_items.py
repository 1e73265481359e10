"""Two zero-shot tasks made from the held-out part of the embedded Wikipedia text; the same items on every machine.

next_sentence   The first sentences of a paragraph, and four candidates for the sentence after them: the true one, and
                three that stand in other paragraphs nearby (mostly of the same article) and are nearest to it in
                length. A model answers by the likelihood of each candidate, whole (acc) or per byte (acc_norm).
last_word       A passage without its last word, in the manner of LAMBADA (arXiv 1606.06031): the word has at least four
                letters and occurs earlier in the passage. A model answers right if its most likely tokens spell it.

At most one item a paragraph and task; which paragraphs, and where the answer stands among the candidates, is drawn with
a seed. Sentences end at a full stop, question or exclamation mark before a capital, initials and common abbreviations
excepted. Nothing was filtered by what a model knows: these are own tasks, comparable between models that saw the same
items, and with nothing else. Tests: tests/test_llm_zeroshot.py.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_SENTENCE = re.compile(r'(?<=[.!?]) +(?=[A-Z"“(])')
_UNFINISHED = re.compile(
    r"(?:\b(?:[A-Z]|Dr|St|Mr|Mrs|Ms|Jr|Sr|Prof|Gen|Col|No|vs|ca?|e\.g|i\.e|U\.S|Ph\.D))\.$"
)
_LAST_WORD = re.compile(r"^(.*\s)([A-Za-z]{4,})[.]$", re.DOTALL)

CONTEXT = (120, 320)
"""Characters of a context before the true sentence, at least and at most."""
ANSWER = (40, 160)
"""Characters of a candidate sentence."""
PASSAGE = (200, 450)
"""Characters of a passage with its last word."""
NEARBY = 25
"""Paragraphs before and after from which candidates come."""


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; joined by spaces they give it back."""
    found: list[str] = []
    for piece in _SENTENCE.split(paragraph):
        if found and _UNFINISHED.search(found[-1]):
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found


def _before(parts: list[str], end: int, most: int) -> str:
    """As many whole sentences directly before sentence `end` as fit."""
    start = end
    while start and len(" ".join(parts[start - 1 : end])) <= most:
        start -= 1
    return " ".join(parts[start:end])


def _one_each(options: list[list[Any]], count: int, seed: int, what: str) -> list[Any]:
    """`count` options, at most one from each list, drawn with a seed and in the order of the text."""
    rng = np.random.default_rng(seed)
    usable = [number for number, found in enumerate(options) if found]
    if len(usable) < count:
        raise ValueError(
            f"Argument 'count' must be at most {len(usable)} for this text, got {count}; use more text for {what}"
        )
    chosen = np.sort(rng.permutation(usable)[:count])
    return [options[number][rng.integers(len(options[number]))] for number in chosen]


def next_sentence(text: str, count: int = 300, seed: int = 0) -> list[dict[str, Any]]:
    """Items {context, choices: four sentences, answer: index of the true one}; ValueError for too little text."""
    paragraphs = [sentences(paragraph) for paragraph in text.split("\n\n")]
    options: list[list[Any]] = []
    for number, parts in enumerate(paragraphs):
        places = [
            (number, place, context)
            for place in range(1, len(parts))
            if ANSWER[0] <= len(parts[place]) <= ANSWER[1]
            and len(context := _before(parts, place, CONTEXT[1])) >= CONTEXT[0]
            and len(_candidates(paragraphs, number, parts[place])) == 3
        ]
        options.append(places)
    rng = np.random.default_rng(seed + 1)
    items = []
    for number, place, context in _one_each(options, count, seed, "next_sentence"):
        true = paragraphs[number][place]
        choices = _candidates(paragraphs, number, true)
        answer = int(rng.integers(4))
        choices.insert(answer, true)
        items.append({"context": context, "choices": choices, "answer": answer})
    return items


def _candidates(paragraphs: list[list[str]], number: int, true: str) -> list[str]:
    """The three sentences of other paragraphs nearby that are nearest in length and not in this paragraph."""
    own = " ".join(paragraphs[number])
    near = range(max(0, number - NEARBY), min(len(paragraphs), number + NEARBY + 1))
    found = dict.fromkeys(
        sentence
        for other in near
        for sentence in paragraphs[other]
        if ANSWER[0] <= len(sentence) <= ANSWER[1] and sentence not in own
    )
    return sorted(found, key=lambda sentence: abs(len(sentence) - len(true)))[:3]


def last_word(text: str, count: int = 300, seed: int = 0) -> list[dict[str, Any]]:
    """Items {context, answer: the last word}; ValueError for too little text."""
    options: list[list[Any]] = []
    for paragraph in text.split("\n\n"):
        parts, found = sentences(paragraph), []
        for place in range(1, len(parts)):
            match = _LAST_WORD.match(_before(parts, place + 1, PASSAGE[1]))
            if match is None or len(match[0]) < PASSAGE[0]:
                continue
            if re.search(rf"\b{match[2]}\b", match[1]):
                found.append({"context": match[1].rstrip(), "answer": match[2]})
        options.append(found)
    return _one_each(options, count, seed, "last_word")
