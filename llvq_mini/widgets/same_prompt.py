"""The same prompt continued with fewer and fewer bits, each word judged by the original model (same_prompt.js).

The texts are those of benchmarks/llm_prompts.py.  Every model writes its most likely next token, again and again; the
original reads what it wrote and is surprised by

    -log2 p_original(token | prompt and the words before)    bits

at each token: 0 where it expected nothing else, 10 where it gave the token one chance in a thousand.  Marked are more
than 2, 5 and 10 bits, by color and by the line below.  A bar stands where a text leaves the original's; from there on
both may be good.  A text that goes round in circles surprises little after the first round, so low surprise is no proof
of quality.  The table has the reverse, too: how much the model itself is surprised at the original's text.

Not here: any measurement.  Tests: tests/test_widgets_model.py, tests/browser/test_widget_same_prompt.py.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llvq_mini.errors import LLVQError
from llvq_mini.widgets._base import Widget

LEVELS = (2.0, 5.0, 10.0)
"""Bits of surprise above which a token is marked, and marked more."""
NAMES = {
    "original": "the original",
    "leech-4": "Leech",
    "leech-3": "Leech",
    "descent-1": "Leech",
    "e8p-2": "E8P",
    "gptq-2": "GPTQ",
    "rtn-2": "round to nearest",
}
"""Arm of the benchmark -> what readers see; other arms keep their name."""
_ORDER = list(NAMES)
CAPTION = "Surprise in bits a token: of the original at this text, and of this model at the original's text"


def load_prompts(data: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """The content of llm_prompts.json, given as itself or as its path.

    Raises LLVQError if the file is missing, no JSON, or without prompts and a first arm "original".
    """
    content: Any = data
    if not isinstance(data, Mapping):
        path = Path(data)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LLVQError(f"Cannot read '{path}'; run benchmarks/llm_prompts.py first") from error
        except ValueError as error:
            raise LLVQError(f"'{path}' is not JSON; run benchmarks/llm_prompts.py again") from error
    good = isinstance(content, Mapping) and bool(content.get("prompts")) and bool(content.get("arms"))
    if not good or content["arms"][0].get("arm") != "original":
        raise LLVQError(
            "The texts must hold 'prompts' and 'arms', the original first; run benchmarks/llm_prompts.py"
        )
    return dict(content)


def level(surprise: float) -> int:
    """0 ... 3: how much a token is marked."""
    return sum(surprise > bound for bound in LEVELS)


def mean(values: list[float]) -> float:
    """Their mean, 0 for none: a text may be empty."""
    return sum(values) / max(len(values), 1)


def _label(arm: Mapping[str, Any]) -> str:
    """'2 bits, Leech'."""
    name = NAMES.get(arm["arm"], arm["arm"])
    bits = arm["bits_per_weight"]
    return name if bits is None else f"{int(bits + 0.1)} bits, {name}"


class SamePrompt(Widget):
    """Continuations of a prompt by the original and by quantized models, with the original's surprise at each token.

    Args:
        data: path of benchmarks/results/llm_prompts.json, or its content.
        prompt: number of the prompt shown at first.

    Raises:
        LLVQError: the file is missing or is not such a file.
        ValueError: `prompt` is out of range.
    """

    name = "same_prompt"

    def __init__(self, data: str | Path | Mapping[str, Any], prompt: int = 0) -> None:
        found = load_prompts(data)
        if prompt not in range(len(found["prompts"])):
            raise ValueError(
                f"Argument 'prompt' must be in 0 ... {len(found['prompts']) - 1}, got {prompt!r}."
            )
        arms = sorted(
            found["arms"], key=lambda a: _ORDER.index(a["arm"]) if a["arm"] in _ORDER else len(_ORDER)
        )
        super().__init__(
            prompts=list(found["prompts"]),
            arms=[
                {
                    "label": _label(arm),
                    "text": arm["text"],
                    "bits": 0.0 if arm["bits_per_weight"] is None else arm["bits_per_weight"],
                    "missed": mean([text["missed"] for text in arm["texts"]]),
                    "texts": arm["texts"],
                }
                for arm in arms
            ],
            levels=list(LEVELS),
            caption=CAPTION,
            prompt=int(prompt),
            arm=0,
            token=0,
        )

    def __repr__(self) -> str:
        return f"SamePrompt({len(self.state['prompts'])} prompts, {len(self.state['arms'])} models)"

    def static_html(self) -> str:
        """The texts of the chosen prompt with their marks, and the surprise of each model."""
        prompt = self.state["prompt"]
        start = html.escape(self.state["prompts"][prompt])
        texts, rows = [], []
        for arm in self.state["arms"]:
            own = arm["texts"][prompt]
            inside = "".join(
                f'<span class="s{level(value)}">{html.escape(piece.replace(chr(10), "↵ "))}</span>'
                for piece, value in zip(own["pieces"], own["surprise"], strict=True)
            )
            label = html.escape(arm["label"])
            texts.append(f'<p class="llvq-sp-text"><b>{label}:</b> <i>{start}</i>{inside}</p>')
            bits = f"{arm['bits']:.2f}" if arm["bits"] else "–"
            cells = (bits, own["same"], f"{mean(own['surprise']):.2f}", f"{own['missed']:.2f}")
            rows.append(
                f'<tr><th scope="row">{label}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
            )
        columns = ("model", "bits a weight", "tokens in common", "surprises the original", "is surprised")
        head = "".join(f'<th scope="col">{column}</th>' for column in columns)
        return (
            f'<div class="llvq-w llvq-sp llvq-w-static">{self._svg()}{"".join(texts)}'
            f'<div class="llvq-w-table"><table><caption>{CAPTION}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></div>"
        )

    def _svg(self) -> str:
        """Bars: the models' surprise at the original's texts, mean of all prompts."""
        arms = self.state["arms"]
        most = max(arm["missed"] for arm in arms) or 1.0
        parts = []
        for n, arm in enumerate(arms):
            y, width = 24 * n, 380 * arm["missed"] / most
            parts.append(f'<text x="166" y="{y + 16}" text-anchor="end">{html.escape(arm["label"])}</text>')
            parts.append(f'<rect class="bar" x="172" y="{y + 3}" width="{width:.1f}" height="17"/>')
            parts.append(f'<text x="{width + 178:.1f}" y="{y + 16}">{arm["missed"]:.2f}</text>')
        label = "Surprise of each model at the original's texts, mean of all prompts, bits a token."
        return (
            f'<svg viewBox="0 0 600 {24 * len(arms)}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        )
