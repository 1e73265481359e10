"""Slides of the course: book/course/slides/week*.md -> one offline HTML page each, shown by reveal.js.

    build(target)          all decks below target, with reveal.js, MathJax, fonts and the book's palette beside them

A deck is Markdown. Its first lines are YAML (week, title, subtitle); `## Title` begins a slide. Beyond plain Markdown:

    ![](fig:NAME)          a figure of course_figures.py, inline SVG that follows light and dark
    ```run                 Python that is executed when the deck is built, and its output
    {{ expression }}       a number, computed in the namespace of the code so far; course_facts.py is in it as `facts`
    :::: left, :::: right  two columns (four colons)
    ::: ask, notes, big    a question to the audience, what the speaker says, large letters (three colons)

reveal.js comes from the wheel sphinx-revealjs (MIT license), MathJax from the one that the book uses.
What this file does not do: convert the book's own directives; slides are written for slides.
Tests: tests/test_course_slides.py (text), tests/browser/test_slides.py (every slide in Chromium).
"""

from __future__ import annotations

import contextlib
import html
import io
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import course_facts
import course_figures
import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "book" / "course" / "slides"
BOXES = ("left", "right", "ask", "notes", "big")
REVEAL = ("dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "LICENSE")


def _code(source: str, language: str) -> str:
    formatter = HtmlFormatter(cssclass="code", wrapcode=True)
    return highlight(source.rstrip(), get_lexer_by_name(language), formatter).strip()


class Deck:
    """One deck while it is converted: the namespace of its code, and its figures."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        _, head, self.body = text.split("---\n", 2)
        self.path, self.head = path, yaml.safe_load(head)
        self.names: dict[str, Any] = {"facts": course_facts}
        self.outputs: list[str] = []  # of the code that ran, until it is shown
        self.markdown = self._parser()

    def _parser(self) -> MarkdownIt:
        parser = MarkdownIt("commonmark", {"typographer": False}).enable("table")
        parser.use(dollarmath_plugin, double_inline=True, renderer=self._math)
        for name in BOXES:
            parser.use(container_plugin, name, render=self._box)
        parser.add_render_rule("fence", lambda _, *place: self._fence(*place))
        parser.add_render_rule("image", lambda _, *place: self._image(*place))
        return parser

    @staticmethod
    def _math(content: str, options: dict[str, Any]) -> str:
        opening, closing = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
        return f"{opening}{html.escape(content)}{closing}"

    @staticmethod
    def _box(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        _, name, end = tokens[index].type.split("_")
        tag = "aside" if name == "notes" else "div"
        return f'<{tag} class="{name}">' if end == "open" else f"</{tag}>"

    def _fence(self, tokens: Any, index: int, options: Any, env: Any) -> str:
        language = tokens[index].info.strip()
        if language != "run":
            return _code(tokens[index].content, language)
        code = _code(tokens[index].content, "python")
        return f'<div class="demo">{code}<pre class="output">{html.escape(self.outputs.pop(0))}</pre></div>'

    def _image(self, tokens: Any, index: int, options: Any, env: Any) -> str:
        source = tokens[index].attrs["src"]
        if not str(source).startswith("fig:"):
            raise ValueError(
                f"{self.path.name}: pictures are figures of course_figures.py (fig:NAME), got {source}"
            )
        return course_figures.picture(str(source).removeprefix("fig:"))._repr_html_()

    def run(self, code: str) -> str:
        """What the code prints; its names stay."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, f"{self.path.name}", "exec"), self.names)
        return said.getvalue().rstrip()

    def numbers(self, text: str) -> str:
        """Fill in {{ expression }}."""
        return re.sub(r"\{\{(.+?)\}\}", lambda match: str(eval(match[1].strip(), self.names)), text)

    def slide(self, source: str) -> str:
        """One slide as a section."""
        title, _, body = source.partition("\n")
        parts = []
        for part in re.split(r"(^```.*?^```$)", body, flags=re.MULTILINE | re.DOTALL):
            if part.startswith("```run"):
                self.outputs.append(self.run(part.split("\n", 1)[1].rsplit("```", 1)[0]))
            parts.append(part if part.startswith("```") else self.numbers(part))
        inner = self.markdown.render("".join(parts))
        inner = re.sub(r"<p>(<figure.*?</figure>)</p>", r"\1", inner, flags=re.DOTALL)
        columns = "columns" if '<div class="left">' in inner else ""
        heading = self.markdown.renderInline(self.numbers(title.strip()))
        return f'<section><h2>{heading}</h2><div class="content {columns}">{inner}</div></section>'

    def html(self) -> str:
        """The page."""
        course_facts.check()
        slides = [self.slide(part) for part in re.split(r"^## ", self.body, flags=re.MULTILINE)[1:]]
        head = {key: html.escape(str(value)) for key, value in self.head.items()}
        first = (
            f'<section class="first"><p class="week">Week {head["week"]} of 4</p><h1>{head["title"]}</h1>'
            f'<p class="subtitle">{head["subtitle"]}</p><img src="llvq/logo.svg" alt="">'
            '<p class="keys">Keys: arrows go on, <kbd>O</kbd> shows all, <kbd>S</kbd> speaker notes, <kbd>D</kbd> dark'
            " or light, <kbd>F</kbd> full screen, <kbd>?</kbd> all keys.</p>"
            f'<aside class="notes">{head["notes"]}</aside></section>'
        )
        page = (SOURCES / "deck.html").read_text(encoding="utf-8")
        for key, value in {
            "title": f"Week {head['week']}: {head['title']}",
            "slides": "\n".join([first, *slides]),
        }.items():
            page = page.replace(f"@{key}@", value)
        return page


def copy_assets(target: Path) -> None:
    """reveal.js, MathJax, fonts, palette, and the style of code."""
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    import llvq_book

    reveal = Path(str(files("sphinx_revealjs"))) / "_static" / "revealjs"
    for name in REVEAL:
        (target / "reveal" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reveal / name, target / "reveal" / name)
    llvq_book.copy_mathjax(target / "mathjax")
    shutil.copytree(ROOT / "book" / "_static" / "llvq", target / "llvq", dirs_exist_ok=True)
    fonts = ROOT / "book" / "_build" / "static" / "llvq" / "fonts"
    if fonts.is_dir():
        shutil.copytree(fonts, target / "llvq" / "fonts", dirs_exist_ok=True)
    for name in ("deck.css", "deck.js"):
        shutil.copy(SOURCES / name, target / name)
    light = HtmlFormatter(style="a11y-high-contrast-light").get_style_defs('html[data-theme="light"] .code')
    dark = HtmlFormatter(style="a11y-high-contrast-dark").get_style_defs('html[data-theme="dark"] .code')
    (target / "code.css").write_text(f"{light}\n{dark}\n", encoding="utf-8")


def build(target: Path) -> list[Path]:
    """Write all decks below target; returns the pages."""
    copy_assets(target)
    pages = []
    for path in sorted(SOURCES.glob("week*.md")):
        pages.append(target / f"{path.stem}.html")
        pages[-1].write_text(Deck(path).html(), encoding="utf-8")
    return pages


if __name__ == "__main__":
    for made in build(ROOT / "out" / "course" / "slides"):
        print(made)
