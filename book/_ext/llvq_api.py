"""The API reference, read from the sources: a directive that lists what a module offers.

    ```{llvq-api} golay leech baselines/e8
    ```

For every module of llvq_mini named there: its opening essay, and each public class, method and function in the order
of the source with its signature and docstring. The sources are parsed, not imported, so the page needs no compiled code
and no GPU library and cannot differ from what the type checker sees. Docstrings are plain text with three conventions,
which become markup: `names` in backticks, indented lines, and the lists Args, Returns, Raises and Yields. Indented
lines longer than the column of the page are wrapped under their last part.

A module, function or method without a docstring is an error, unless it has its meaning from a protocol. What this file
does not do: cross references between types.
Tests: tests/test_api.py.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).resolve().parents[2] / "llvq_mini"
_LIST = re.compile(r"(Args|Returns|Raises|Yields):$")
_ENTRY = re.compile(r"(\S[^:]{0,80}):\s+(.*)", re.DOTALL)
#: characters in a line of a literal block
WIDTH = 80
#: methods that a protocol or base class documents, once for all that have them
INHERITED = frozenset(
    "dim bits name bits_per_weight table_bytes encode decode spec compress expand quantize codewords extra_repr".split()
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def source(module: str) -> Path:
    """File of a module given by its path below the package, without .py; a package is its __init__.py."""
    path = PACKAGE / f"{module}.py"
    return path if path.is_file() else PACKAGE / module / "__init__.py"


def anchor(module: str) -> str:
    """The address of a module's section within the page."""
    return "module-" + module.replace("/", "-").replace("_", "-")


def docstring(node: ast.Module | ast.ClassDef | Function, name: str) -> str:
    """The docstring of a module, class or function; ExtensionError if there is none."""
    text = ast.get_docstring(node)
    if not text:
        raise ExtensionError(f"{name} is public and has no docstring; write one or make the name private")
    return text


def signature(name: str, node: Function) -> str:
    """How a function is called, with types as they are written."""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = re.sub(r"^(?:self|cls)(?:, )?", "", ast.unparse(node.args))
    decorators = {decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)}
    return f"{name}{result}" if "property" in decorators else f"{name}({arguments}){result}"


def fields(node: ast.ClassDef) -> str:
    """The annotated fields of a class, as its constructor takes them."""
    found = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    parts = [ast.unparse(n) for n in found if not n.target.id.startswith("_")]  # type: ignore[union-attr]
    return f"({', '.join(parts)})" if parts else ""


def members(tree: ast.Module, module: str) -> Iterator[tuple[str, str, str]]:
    """(name, signature, docstring) of what a module offers, in source order."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        if isinstance(node, Function):
            yield node.name, signature(node.name, node), docstring(node, f"{module}.{node.name}")
            continue
        methods = [n for n in node.body if isinstance(n, Function)]
        made = next(
            (signature(node.name, n) for n in methods if n.name == "__init__"), node.name + fields(node)
        )
        yield node.name, f"class {made.removesuffix(' -> None')}", docstring(node, f"{module}.{node.name}")
        for method in methods:
            if not method.name.startswith("_") and (
                ast.get_docstring(method) or method.name not in INHERITED
            ):
                name = f"{node.name}.{method.name}"
                yield name, signature(name, method), docstring(method, f"{module}.{name}")


def inline(text: str) -> list[nodes.Node]:
    """Plain text with names in backticks."""
    pieces = re.split(r"``([^`]+)``|`([^`]+)`", " ".join(text.split()))
    found: list[nodes.Node] = []
    for number, piece in enumerate(pieces):
        if piece:
            found.append(nodes.literal(piece, piece) if number % 3 else nodes.Text(piece))
    return found


def indented(line: str) -> int:
    """Spaces at the beginning of a line."""
    return len(line) - len(line.lstrip())


def listing(title: str, lines: list[str]) -> list[nodes.Node]:
    """A titled list of arguments, results or errors; an entry begins at the least indentation."""
    entries: list[str] = []
    least = min(map(indented, lines), default=0)
    for line in lines:
        if indented(line) == least:
            entries.append(line.strip())
        else:
            entries[-1] += " " + line.strip()
    bullets = nodes.bullet_list()
    for entry in entries:
        match = _ENTRY.match(entry) if title != "Returns" else None
        content = (
            [nodes.literal(match[1], match[1]), nodes.Text(": "), *inline(match[2])]
            if match
            else inline(entry)
        )
        bullets += nodes.list_item("", nodes.paragraph("", "", *content))
    return [nodes.paragraph("", "", nodes.strong(title, title)), bullets]


def wrapped(lines: list[str]) -> str:
    """Lines of a literal block, those longer than WIDTH wrapped.

    In a line "term   text" and the lines that continue below its text, the text is one paragraph. Another long line
    breaks where it has three spaces or more, if that is enough, and its rest stands four spaces to the right.
    """
    entries: list[tuple[str, str]] = []
    for line in lines:
        gap = re.match(r"\s*\S+(?: \S+){0,3}\s{2,}(?=\S)", line)
        head = gap[0] if gap and gap.end() <= WIDTH // 3 else line[: indented(line)]
        last = entries[-1][0] if entries else ""
        if last.strip() and indented(line) == len(last) and head.isspace():
            entries[-1] = (last, f"{entries[-1][1]}\n{line.strip()}")
        else:
            entries.append((head, line[len(head) :]))
    done = []
    for head, rest in entries:
        hang = " " * (len(head) if head.strip() else len(head) + 4)
        parts = re.split(r"\s{3,}", rest)
        if all(len(head) + len(part) <= WIDTH for part in rest.split("\n")):
            rest = rest.replace("\n", "\n" + hang)
        elif not head.strip() and max(map(len, parts)) + len(hang) <= WIDTH:
            rest = ("\n" + hang).join(parts)
        else:
            rest = textwrap.fill(
                rest.replace("\n", " "), WIDTH, initial_indent=" " * len(head), subsequent_indent=hang
            )[len(head) :]
        done.append(head + rest)
    return "\n".join(done)


def body(text: str) -> list[nodes.Node]:
    """A docstring as paragraphs, literal blocks and lists."""
    found: list[nodes.Node] = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        if _LIST.fullmatch(lines[0].strip()) and len(lines) > 1:
            found += listing(lines[0].strip()[:-1], lines[1:])
            continue
        while lines:
            deep = indented(lines[0]) > 0
            count = next((i for i, line in enumerate(lines) if (indented(line) > 0) != deep), len(lines))
            run, lines = lines[:count], lines[count:]
            if deep:
                least = min(map(indented, run))
                block = wrapped([line[least:] for line in run])
                found.append(nodes.literal_block(block, block, language="text"))
            else:
                found.append(nodes.paragraph("", "", *inline("\n".join(run))))
    return found


class Api(SphinxDirective):
    """Directive `llvq-api`: sections for the modules named in its argument."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """A list of the modules with the first sentence of each, and one section a module."""
        trees = {name: self.parsed(name) for name in self.arguments[0].split()}
        listed = nodes.bullet_list()
        for name, tree in trees.items():
            first = docstring(tree, name).split("\n\n")[0]
            link = nodes.reference("", name.replace("/", "."), refuri="#" + anchor(name), internal=True)
            listed += nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(": "), *inline(first)))
        return [listed, *(self.module(name, tree) for name, tree in trees.items())]

    def parsed(self, name: str) -> ast.Module:
        """A module's syntax tree; the page is made anew when its source changes."""
        path = source(name)
        self.env.note_dependency(str(path))
        return ast.parse(path.read_text(encoding="utf-8"))

    def module(self, name: str, tree: ast.Module) -> nodes.section:
        """A module's essay and members."""
        place = anchor(name)
        section = nodes.section("", nodes.title(name, name.replace("/", ".")), ids=[place], names=[place])
        self.state.document.note_explicit_target(section)
        section += body(docstring(tree, name))
        entries = nodes.definition_list(classes=["llvq-api"])
        for member, call, text in members(tree, name):
            term = nodes.term("", "", nodes.literal(call, call), ids=[f"{place}-{nodes.make_id(member)}"])
            entries += nodes.definition_list_item("", term, nodes.definition("", *body(text)))
        if len(entries):
            section += entries
        return section


def load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the styles where they are needed."""
    if "llvq-api" in context.get("body", ""):
        app.add_css_file("llvq/api.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Entry point of the extension."""
    app.add_directive("llvq-api", Api)
    app.connect("html-page-context", load)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
