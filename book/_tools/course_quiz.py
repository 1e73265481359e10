"""Quizzes of the course: book/course/quiz/week*.yml as Markdown, JSON, and GIFT, which Moodle and others import.

    read()             all items, checked; ValueError names the item and what is wrong with it
    markdown, gift     one week for people, for a learning platform
    files(prefix)      everything for the instructor's zip

Tests: tests/test_course.py, which also evaluates every `check`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

QUIZ = Path(__file__).resolve().parents[2] / "book" / "course" / "quiz"
_KEYS = {"id", "chapter", "question", "answer", "why"}


def check(item: dict[str, Any]) -> None:
    """ValueError unless the item is complete: a choice with a right place, or a number with a tolerance."""
    name = item.get("id", item)
    if not _KEYS <= set(item):
        raise ValueError(f"quiz item {name}: missing {sorted(_KEYS - set(item))}")
    if "choices" in item:
        choices = item["choices"]
        if len(set(choices)) != len(choices) or not 3 <= len(choices) <= 5:
            raise ValueError(f"quiz item {name}: 3 to 5 different choices, got {choices}")
        if type(item["answer"]) is not int or not 0 <= item["answer"] < len(choices):
            raise ValueError(
                f"quiz item {name}: 'answer' must be the place of a choice, got {item['answer']}"
            )
    elif not {"tolerance", "check"} <= set(item):
        raise ValueError(f"quiz item {name}: a numeric answer needs 'tolerance' and 'check'")


def read() -> dict[int, list[dict[str, Any]]]:
    """Week -> items."""
    found = {}
    for path in sorted(QUIZ.glob("week*.yml")):
        found[int(path.stem[4:])] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for items in found.values():
        for item in items:
            check(item)
    return found


def markdown(week: int, items: list[dict[str, Any]]) -> str:
    """For people: questions first, answers behind them."""
    lines = [f"# Quiz of week {week}", ""]
    for number, item in enumerate(items, 1):
        lines += [f"{number}. {item['question']}", ""]
        lines += [f"   - {chr(97 + place)}) {choice}" for place, choice in enumerate(item.get("choices", []))]
        lines += [""] * ("choices" in item)
    lines += ["## Answers", ""]
    for number, item in enumerate(items, 1):
        right = f"{chr(97 + item['answer'])})" if "choices" in item else f"{item['answer']:g}"
        lines.append(f"{number}. **{right}** {item['why']} (chapter `{item['chapter']}`)")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    for sign in "\\~=#{}:":
        text = text.replace(sign, f"\\{sign}")
    return text


def gift(items: list[dict[str, Any]]) -> str:
    """One week in Moodle's GIFT format."""
    blocks = []
    for item in items:
        if "choices" in item:
            answers = [
                f"{'=' if place == item['answer'] else '~'}{_escaped(choice)}"
                for place, choice in enumerate(item["choices"])
            ]
        else:
            answers = [f"#{item['answer']}:{item['tolerance']}"]
        body = "\n".join(f"  {answer}" for answer in answers)
        why = f"  ####{_escaped(item['why'])}"
        blocks.append(f"::{item['id']}::{_escaped(item['question'])} {{\n{body}\n{why}\n}}\n")
    return "\n".join(blocks)


def files(prefix: str) -> dict[str, bytes]:
    """Markdown and GIFT for each week, and all items as one JSON."""
    items = read()
    made = {f"{prefix}/quiz.json": json.dumps(items, indent=1, ensure_ascii=False) + "\n"}
    for week, questions in items.items():
        made[f"{prefix}/week{week}.md"] = markdown(week, questions)
        made[f"{prefix}/week{week}.gift"] = gift(questions)
    return {name: text.encode() for name, text in made.items()}
