"""`make notebooks`: writes notebooks/*.ipynb from the chapters; --check only compares.

A chapter is MyST Markdown: text, fenced directives, code cells. Jupyter and Colab show plain Markdown, so
directives become headings, quotations and details, roles become links and names, and code cells become code
cells. Every notebook opens with a cell that installs the library when it runs in Colab. Solutions are folded:
their text sits in <details>, their code in cells whose source is hidden. Outputs are left out; the book has
them.

The files are committed, and tests/test_notebooks.py holds them in step with the chapters.
What this file does not do: convert MyST in general; an unknown directive or role is an error.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry, parse_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
from prose import resolve  # noqa: E402

BOOK, NOTEBOOKS = ROOT / "book", ROOT / "notebooks"
GPU = ("gpu", "lab_kernels", "lab_model")
"""Notebooks that ask Colab for a GPU."""

_OPEN = re.compile(r"^(`{3,})\{([\w:-]+)\}[ ]*(.*)$")
_ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
_KINDS = {"definition", "lemma", "theorem", "proposition", "corollary", "remark", "example", "algorithm"}

_SETUP = """\
# In Colab this cell fetches the repository and installs the library; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    !git clone --quiet --depth 1 {url}
    %cd -q {folder}/notebooks
    %pip install --quiet .. anywidget
    %pip install --quiet --no-deps -r ../requirements-nodeps.txt
    from google.colab import output

    output.enable_custom_widget_manager()"""


@dataclass
class Chapter:
    """What the conversion of one chapter needs to know and collects on its way."""

    name: str
    titles: dict[str, str]  # page -> its first heading
    labels: dict[str, str]  # label of a theorem, exercise or heading -> what to call it
    bibliography: BibliographyData
    cells: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    cited: dict[str, None] = field(default_factory=dict)
    solution: str = ""

    def flush(self) -> None:
        """Turn the collected text into one Markdown cell."""
        source = re.sub(r"\n{3,}", "\n\n", "\n".join(self.text)).strip()
        self.text = []
        if not source:
            return
        if self.solution:
            source = f"<details>\n<summary>{self.solution}</summary>\n\n{source}\n\n</details>"
        self.add("markdown", source, {})

    def add(self, kind: str, source: str, metadata: dict[str, Any]) -> None:
        """Append a cell with an id that depends on its place alone."""
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"{self.name}-{len(self.cells):03d}",
            "metadata": metadata,
        }
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        self.cells.append(cell | {"source": source.splitlines(keepends=True)})


def last_name(entry: Entry) -> str:
    """How the text calls the authors of an entry: Golay; Lloyd and Max; Tseng et al."""
    people = [" ".join(person.prelast_names + person.last_names) for person in entry.persons["author"]]
    names = [re.sub(r"[{}]", "", name) for name in people]
    return (
        names[0]
        if len(names) == 1
        else f"{names[0]} and {names[1]}"
        if len(names) == 2
        else f"{names[0]} et al."
    )


def reference(entry: Entry) -> str:
    """One line of the list of references."""
    fields = entry.fields
    where = next(
        (fields[key] for key in ("journal", "booktitle", "publisher", "institution") if key in fields), ""
    )
    parts = [last_name(entry), f"*{fields['title']}*", where, fields.get("howpublished", ""), fields["year"]]
    line = re.sub(r"[{}\\]", "", ". ".join(part for part in parts if part)).replace("--", "–") + "."
    links = [
        f"[{label}{fields[key]}]({start}{fields[key]})"
        for key, label, start in (
            ("doi", "doi:", "https://doi.org/"),
            ("eprint", "arXiv:", "https://arxiv.org/abs/"),
            ("url", "", ""),
        )
        if key in fields
    ]
    return " ".join([line, *links])


def inline(text: str, chapter: Chapter) -> str:
    """Replace roles and links to chapters."""

    def role(match: re.Match[str]) -> str:
        name, content = match.groups()
        if name == "cite":
            keys = [key.strip() for key in content.split(",")]
            chapter.cited |= dict.fromkeys(keys)
            entries = [chapter.bibliography.entries[key] for key in keys]
            return "[" + "; ".join(f"{last_name(entry)}, {entry.fields['year']}" for entry in entries) + "]"
        if name == "num":
            return resolve(content)
        named = re.fullmatch(r"(.*?)\s*<([^<>]+)>", content)
        shown, target = named.groups() if named else ("", content)
        if name == "doc":
            return f"[{shown or chapter.titles[target]}]({address(target)})"
        if name == "term":
            return shown or target
        if name in ("ref", "prf:ref", "numref"):
            return shown or chapter.labels[target]
        raise ValueError(
            f"{chapter.name}.md: no rule for the role {{{name}}}; add one to {Path(__file__).name}"
        )

    text = _ROLE.sub(role, text)
    text = re.sub(
        r"\[([^\]]*)\]\((\w+)\.md\)", lambda m: f"[{m[1] or chapter.titles[m[2]]}]({address(m[2])})", text
    )
    return re.sub(r"^\([\w-]+\)=$\n?", "", text, flags=re.MULTILINE)


@cache
def address(name: str) -> str:
    """Where a link from a notebook finds a page: its notebook, or the page itself if that has no cells."""
    page = BOOK / f"{name}.md"
    plain = page.is_file() and "{code-cell}" not in page.read_text(encoding="utf-8")
    return f"../book/{name}.md" if plain else f"{name}.ipynb"


def options_of(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split the leading `:key: value` lines of a directive from its body."""
    options = {}
    while lines and (match := re.match(r"^:([\w-]+):[ ]*(.*)$", lines[0])):
        options[match[1]] = match[2]
        lines = lines[1:]
    return options, lines


def quote(title: str, body: list[str]) -> list[str]:
    """A titled quotation."""
    return ["", f"> **{title}.**", ">", *(f"> {line}".rstrip() for line in body), ""]


def directive(name: str, title: str, lines: list[str], chapter: Chapter) -> None:
    """Append one fenced block to the chapter."""
    options, body = options_of(lines)
    kind = name.removeprefix("prf:")
    title = inline(title, chapter)
    body = inline("\n".join(body).strip(), chapter).split("\n")
    if name == "code-cell":
        code_cell("\n".join(lines[len(options) :]).strip("\n"), options, chapter)
    elif name in ("admonition", "note", "tip", "warning", "important"):
        chapter.text += quote(title or name.capitalize(), body)
    elif kind in _KINDS:
        chapter.text += quote(chapter.labels.get(options.get("label", ""), kind.capitalize()), body)
    elif name == "prf:proof":
        chapter.text += ["", "*Proof.* " + "\n".join(body) + " ∎", ""]
    elif name == "math":
        chapter.text += ["", "$$", *body, "$$", ""]
    elif name == "exercise-start":
        chapter.flush()
        chapter.text += [f"### {chapter.labels[options['label']]}", ""]
    elif name == "solution-start":
        chapter.flush()
        chapter.solution = f"Solution: {chapter.labels[title]}"
    elif name == "solution-end":
        chapter.flush()
        chapter.solution = ""
    elif name not in ("exercise-end", "raw", "bibliography"):
        raise ValueError(
            f"{chapter.name}.md: no rule for the directive {{{name}}}; add one to {Path(__file__).name}"
        )


def code_cell(source: str, options: dict[str, str], chapter: Chapter) -> None:
    """Append a code cell; folded inside a solution and where the book folds it."""
    chapter.flush()
    metadata: dict[str, Any] = {}
    if chapter.solution or "hide-input" in options.get("tags", ""):
        metadata = {"cellView": "form", "jupyter": {"source_hidden": True}}
        source = f"# @title {chapter.solution or 'Show the code'}\n{source}"
    chapter.add("code", source, metadata)


def blocks(text: str) -> list[tuple[str, str, list[str]]]:
    """The chapter as (directive, title, lines); plain text has the directive ''."""
    lines, found, plain = text.split("\n"), [], []
    position = 0
    while position < len(lines):
        match = _OPEN.match(lines[position])
        if not match:
            plain.append(lines[position])
            position += 1
            continue
        if plain:
            found.append(("", "", plain))
            plain = []
        end = lines.index(match[1], position + 1)
        found.append((match[2], match[3].strip(), lines[position + 1 : end]))
        position = end + 1
    return [*found, ("", "", plain)]


def labels_of(texts: dict[str, str]) -> dict[str, str]:
    """What each label of the book is called: theorems and exercises by kind and title, headings by their text."""
    names = {}
    for text in texts.values():
        exercises = 0
        for kind, title, lines in blocks(text):
            label = options_of(lines)[0].get("label", "")
            if kind == "exercise-start":
                exercises += 1
                names[label] = f"Exercise {exercises}" + (f": {title}" if title else "")
            elif label:
                kind = kind.removeprefix("prf:").capitalize()
                names[label] = f"{kind} ({title})" if title else kind
        names |= dict(re.findall(r"^\(([\w-]+)\)=\n+#+ (.+)$", text, re.MULTILINE))
    return names


def convert(name: str, texts: dict[str, str], bibliography: BibliographyData, url: str) -> str:
    """One chapter as the text of a notebook file.

    Args:
        name: the chapter; texts: all chapters without front matter; url: of the repository.

    Raises:
        ValueError: the chapter uses a directive or role without a rule here.
    """
    titles = {page: re.search(r"^# (.+)$", text, re.MULTILINE)[1] for page, text in texts.items()}  # type: ignore[index]
    chapter = Chapter(name, titles, labels_of(texts), bibliography)
    chapter.add("code", _SETUP.format(url=url, folder=url.rsplit("/", 1)[1]), {"cellView": "form"})
    for kind, title, lines in blocks(texts[name]):
        if kind:
            directive(kind, title, lines, chapter)
        else:
            chapter.text.append(inline("\n".join(lines), chapter))
    chapter.flush()
    if chapter.cited:
        entries = bibliography.entries
        lines = [f"- {reference(entries[key])}" for key in sorted(chapter.cited)]
        chapter.add("markdown", "\n".join(["## References", "", *lines]), {})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata: dict[str, Any] = {"kernelspec": kernel, "language_info": {"name": "python"}}
    if name in GPU:
        metadata |= {"accelerator": "GPU", "colab": {"gpuType": "T4"}}
    notebook = {"cells": chapter.cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def notebooks() -> dict[Path, str]:
    """Path and content of every notebook: one for each page that has code."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [toc["root"]] + [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    texts = {}
    for file in files:
        text = (ROOT / f"{file}.md").read_text(encoding="utf-8")
        texts[Path(file).name] = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    bibliography = parse_file(str(BOOK / "references.bib"))
    chosen = [name for name, text in texts.items() if "{code-cell}" in text]
    return {NOTEBOOKS / f"{name}.ipynb": convert(name, texts, bibliography, url) for name in chosen}


def main() -> int:
    """Write the notebooks, remove those without a chapter; with --check only compare. Status 1: they differ."""
    wanted = notebooks()
    stale = [path for path in NOTEBOOKS.glob("*.ipynb") if path not in wanted]
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale + changed:
            print(
                f"{path.relative_to(ROOT)} is not in step with its chapter; run make notebooks",
                file=sys.stderr,
            )
        return bool(stale or changed)
    NOTEBOOKS.mkdir(exist_ok=True)
    for path in stale:
        path.unlink()
    for path in changed:
        path.write_text(wanted[path], encoding="utf-8")
    print(f"{len(wanted)} notebooks in {NOTEBOOKS.relative_to(ROOT)}/, {len(changed)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
