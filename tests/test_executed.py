"""Every cell of every notebook has run: the book's build executes the same cells, and its cache holds what it executed.

That the notebooks are what the generator makes of the chapters is in tests/test_notebooks.py. Here: the executed copy
of a chapter has exactly the code of its notebook, in order, each cell with a number and none with an error; the cell
that the notebooks have on top runs as well, on a laptop, where it does nothing, and in a Colab that is acted; and one
notebook runs from its file.
"""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "book" / "_build"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_of(path: Path) -> list[Any]:
    """The code cells of a notebook file."""
    book = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    return [cell for cell in book.cells if cell.cell_type == "code"]


def sources(cells: list[Any]) -> tuple[str, ...]:
    """Their code, without the title that folded cells have in notebooks."""
    return tuple(re.sub(r"\A# @title [^\n]*\n", "", cell.source).strip("\n") for cell in cells)


@pytest.fixture(scope="module")
def executed() -> dict[tuple[str, ...], list[Any]]:
    """What the book's build has run, by its code."""
    found = [code_of(path) for path in BUILD.glob(".jupyter_cache-*/executed/*/base.ipynb")]
    if not found:
        pytest.skip("the book is not built; run 'make book'")
    return {sources(cells): cells for cells in found}


@pytest.mark.browser  # needs the built book
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_book_executed_these_cells(path: Path, executed: dict[tuple[str, ...], list[Any]]) -> None:
    """Source by source the same, solutions included; every cell has run in order, and none raised."""
    wanted = sources(code_of(path)[1:])
    assert wanted in executed, "no execution of exactly these cells; run 'make book'"
    cells = executed[wanted]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []


def transformed(source: str) -> str:
    """What IPython makes of a cell with magics."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


def test_the_first_cell_does_nothing_outside_colab() -> None:
    """It is the same in all notebooks, and asks IPython for nothing."""
    first = {code_of(path)[0].source for path in NOTEBOOKS}
    assert len(first) == 1

    def refuse() -> Any:
        raise AssertionError("the cell wants to run a command outside Colab")

    exec(compile(transformed(first.pop()), "setup", "exec"), {"get_ipython": refuse})


def test_the_first_cell_installs_in_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clone, change into the notebooks, install the library without touching what Colab has, turn widgets on."""
    asked: list[str] = []
    shell = types.SimpleNamespace(
        system=lambda command: asked.append(f"!{command}"),
        run_line_magic=lambda name, line: asked.append(f"%{name} {line}"),
    )
    colab = types.ModuleType("google.colab")
    colab.output = types.SimpleNamespace(enable_custom_widget_manager=lambda: asked.append("widgets"))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    exec(
        compile(transformed(code_of(NOTEBOOKS[0])[0].source), "setup", "exec"), {"get_ipython": lambda: shell}
    )
    assert asked[0].startswith("!git clone --quiet --depth 1 https://")
    assert asked[1].startswith("%cd -q ") and asked[1].endswith("/notebooks")
    assert asked[2:] == [
        "%pip install --quiet .. anywidget",
        "%pip install --quiet --no-deps -r ../requirements-nodeps.txt",
        "widgets",
    ]


@pytest.mark.slow
def test_a_notebook_runs_from_its_file() -> None:
    """intro.ipynb in a kernel of its own, in its own folder, as Jupyter runs it."""
    from nbclient import NotebookClient

    path = ROOT / "notebooks" / "intro.ipynb"
    book = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("196,560" in output.get("text", "") for output in outputs)
