"""Definitions on hover: the glossary's text for every `{term}` link of the book.

A page may not fetch another page from file://, so the definitions travel as a script. After the build the glossary's
document tree is read and `_static/llvq/glossary.js` written: window.llvqGlossary, from the anchor of a term to the text
of its first paragraph. Pages with at least one term load it, with terms.js, which shows the text on hover and focus,
and terms.css. Without JavaScript a term is a link to the glossary.

The definitions are plain text; a formula in one is an error, since a tooltip does not set formulas.

Tests: tests/test_book.py, tests/browser/test_terms.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

GLOSSARY = "book/glossary"
MARK = "std-term"
_HEAD = "// Written by llvq_terms.py from book/glossary.md.\nwindow.llvqGlossary = "


def definitions(tree: nodes.document) -> dict[str, dict[str, str]]:
    """{anchor: {term, text}} of all entries of a glossary's document tree, text being the first paragraph.

    Raises:
        ExtensionError: an entry has a formula or no paragraph.
    """
    found = {}
    for item in tree.findall(nodes.definition_list_item):
        paragraph = next(item.findall(nodes.paragraph), None)
        for term in item.findall(nodes.term):
            if paragraph is None or any(paragraph.findall(nodes.math)):
                raise ExtensionError(
                    f"The glossary's entry '{term.astext()}' must be a paragraph of plain text"
                )
            text = " ".join(paragraph.astext().split())
            found |= {anchor: {"term": term.astext(), "text": text} for anchor in term["ids"]}
    return found


def write(app: Sphinx, error: Exception | None) -> None:
    """After an HTML build: the definitions as a script beside the other assets."""
    if error is None and app.builder.format == "html" and GLOSSARY in app.env.found_docs:
        target = Path(app.outdir) / "_static" / "llvq" / "glossary.js"
        target.parent.mkdir(parents=True, exist_ok=True)
        entries = json.dumps(definitions(app.env.get_doctree(GLOSSARY)), ensure_ascii=False, indent=1)
        target.write_text(f"{_HEAD}{entries};\n", encoding="utf-8")


def load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the scripts and styles on pages that have a term."""
    if MARK in context.get("body", ""):
        app.add_css_file("llvq/terms.css")
        app.add_js_file("llvq/glossary.js", loading_method="defer", priority=810)
        app.add_js_file("llvq/terms.js", loading_method="defer", priority=811)


def setup(app: Sphinx) -> dict[str, Any]:
    """Entry point of the extension."""
    app.connect("html-page-context", load)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
