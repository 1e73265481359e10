"""Numbers in prose come from the committed results, words are spelled as American dictionaries have them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import prose  # noqa: E402

CHAPTERS = sorted((ROOT / "book").glob("*.md"))
PAGES = [*(ROOT / name for name in prose.READMES), *CHAPTERS]


def page_of(path: Path) -> str:
    """How prose_numbers.txt calls a file."""
    return path.stem if path.parent.name == "book" else path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=page_of)
def test_measured_numbers_are_read_and_not_typed(path: Path) -> None:
    """Whatever looks measured comes from a role or a marked comment, or was reviewed and has a reason."""
    known = prose.reviewed()
    page = page_of(path)
    typed = [
        f"line {line}: {number}"
        for line, number in prose.measured(path.read_text(encoding="utf-8"))
        if not {(page, number), ("*", number)} & known.keys()
    ]
    assert typed == [], "write {num}`FILE#KEY:FORMAT`, or add the number and its reason to prose_numbers.txt"


def test_the_reviewed_list_is_short_of_nothing_superfluous() -> None:
    """Each entry has a reason, and one of a page still occurs on it."""
    found = {
        page_of(path): {n for _, n in prose.measured(path.read_text(encoding="utf-8"))} for path in PAGES
    }
    for (page, number), why in prose.reviewed().items():
        assert why, number
        assert page == "*" or number in found[page], f"{page} has no {number} any more; delete its line"


@pytest.mark.parametrize("name", prose.READMES)
def test_marked_numbers_agree_with_their_files(name: str) -> None:
    """`python book/_tools/prose.py` would change nothing."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert prose.with_numbers(text) == text, f"{name} is stale; run python book/_tools/prose.py"


def test_every_role_resolves() -> None:
    """Each {num} of the chapters leads to a number."""
    for path in CHAPTERS:
        for spec in prose.ROLE.findall(path.read_text(encoding="utf-8")):
            assert prose.resolve(spec)


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, rows chosen by fields, factors and signs; everything else is an error that quotes the spec."""
    data = {"a": {"b c": [{"k": 1, "v": 2.5}, {"k": 2, "v": -0.125}], "yes": True}}
    (tmp_path / "x.json").write_text(json.dumps(data))
    monkeypatch.setattr(prose, "RESULTS", tmp_path)
    prose._read.cache_clear()
    assert prose.resolve("x.json#a/b c/0/v:.2f") == "2.50"
    assert prose.resolve("x.json#a/b c/k=2/v:.1f:8") == "−1.0"
    for spec in (
        "x.json#a/k:d",
        "x.json#a/b c/9/v:d",
        "x.json#a/b c/k=3/v:d",
        "x.json#a/yes:d",
        "y.json#a:d",
        "a",
    ):
        with pytest.raises(ValueError, match="Argument 'spec'"):
            prose.resolve(spec)
    prose._read.cache_clear()


def test_what_counts_as_measured() -> None:
    """Decimals and numbers with a unit do, wherever they stand; code, formulas, roles and addresses do not."""
    text = "A gap of 0.53 dB,\n3 times, 12 ms and 1,024 MB.\n\n```{code-cell} ipython3\nx = 0.1\n```\n$0.2$ `0.3`\n"
    text += "{num}`a.json#b:.1f` 24 points, 2603 and [0.4](https://x.org/0.5)\n"
    assert prose.measured(text) == [(1, "0.53"), (2, "3 times"), (2, "12 ms"), (2, "1,024 MB"), (8, "0.4")]
    box = "````{admonition} T\n:class: tip\nIt is 7 % of\n```{math}\n0.6\n```\nall.\n````\n"
    assert prose.measured(box) == [(3, "7 %")]


def test_spelling() -> None:
    """codespell finds no typo and no British spelling in what people read."""
    tool = Path(sys.executable).parent / "codespell"
    files = [str(path) for path in (*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")]
    files += [str(path) for folder in ("llvq_mini", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    files += [str(path) for path in (ROOT / "book" / "course").rglob("*.md")]
    words = str(ROOT / "book" / "_tools" / "words.txt")
    command = [str(tool), "--builtin", "clear,rare,en-GB_to_en-US", "--ignore-words", words, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
