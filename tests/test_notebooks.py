"""notebooks/*.ipynb: valid, in step with the chapters, every cell of the chapter and no directive left."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import notebooks as exporter  # noqa: E402

FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))


def load(path: Path) -> Any:
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def test_in_step_with_the_chapters() -> None:
    """`make notebooks` would change nothing."""
    wanted = exporter.notebooks()
    assert sorted(wanted) == FILES
    for path, text in wanted.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale; run make notebooks"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_notebook_is_valid_and_complete(path: Path) -> None:
    """Valid nbformat, the install cell first, every code cell of the chapter, solutions folded, no MyST left."""
    book = load(path)
    nbformat.validate(book)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    assert "google.colab" in code[0]
    chapter = (ROOT / "book" / f"{path.stem}.md").read_text(encoding="utf-8")
    assert len(code) - 1 == chapter.count("{code-cell}")
    for source in code[1:]:
        ast.parse(source)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert not re.search(r"```\{|\{[a-z:]+\}`|\]\(\w+\.md\)|^:label:", text, re.MULTILINE)
    assert text.count("<details>") == text.count("</details>")
    for target in re.findall(r"\]\((\w+\.ipynb)\)", text):
        assert (ROOT / "notebooks" / target).exists()


def test_every_figure_has_a_caption() -> None:
    """Each plots.show in a chapter says what the figure is (alt) and, differently, what to look for (caption)."""
    found, bare = 0, []
    for path in FILES:
        for cell in load(path).cells[1:]:
            if cell.cell_type != "code":
                continue
            for call in (node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)):
                if ast.unparse(call.func) == "plots.show":
                    found += 1
                    if len(call.args) < 3 or ast.unparse(call.args[1]) == ast.unparse(call.args[2]):
                        bare.append(f"{path.stem}: {ast.unparse(call)[:60]}")
    assert found > 35 and not bare


def test_conversion_of_each_construct() -> None:
    """A chapter with one of everything becomes what Jupyter can show."""
    text = """# Title

See {prf:ref}`thm`, {ref}`ex-one` and {doc}`other` {cite}`golay1949notes`.

```{prf:theorem} Name
:label: thm
All is $x$.
```

```{prf:proof}
Clear.
```

```{exercise-start} Try
:label: ex-one
```
Do it.
```{exercise-end}
```

```{solution-start} ex-one
:class: dropdown
```
So.
```{code-cell} ipython3
print(1)
```
```{solution-end}
```
"""
    bibliography = exporter.parse_file(str(ROOT / "book" / "references.bib"))
    made = exporter.convert(
        "page", {"page": text, "other": "# Other page\n"}, bibliography, "https://x.org/a/b"
    )
    cells = json.loads(made)["cells"]
    joined = "\n".join("".join(cell["source"]) for cell in cells)
    assert "See Theorem (Name), Exercise 1: Try and [Other page](other.ipynb) [Golay, 1949]." in joined
    assert "> **Theorem (Name).**\n>\n> All is $x$." in joined
    assert "*Proof.* Clear. ∎" in joined
    assert "<details>\n<summary>Solution: Exercise 1: Try</summary>\n\nSo.\n\n</details>" in joined
    solution = next(cell for cell in cells if "print(1)" in "".join(cell["source"]))
    assert solution["metadata"]["jupyter"]["source_hidden"]
    assert "Golay. *Notes on Digital Coding*" in joined


def test_unknown_directive_is_an_error() -> None:
    """Nothing is dropped in silence."""
    bibliography = exporter.parse_file(str(ROOT / "book" / "references.bib"))
    with pytest.raises(ValueError, match="no rule for the directive {mystery}"):
        exporter.convert("page", {"page": "# T\n\n```{mystery}\n```\n"}, bibliography, "https://x.org/a/b")
