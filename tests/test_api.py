"""The API reference: every public name is documented and typed, names its errors, and becomes what the page shows."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docutils import nodes
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import llvq_api as api  # noqa: E402

PAGE = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
MODULES = [
    name for names in re.findall(r"^```\{llvq-api\} (.+)$", PAGE, re.MULTILINE) for name in names.split()
]


def functions(tree: ast.Module) -> Iterator[tuple[str, api.Function]]:
    """Public functions, and public methods of public classes."""
    for node in tree.body:
        if isinstance(node, api.Function) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, api.Function) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method


def raised(node: ast.AST) -> set[str]:
    """Names of the exceptions that a function itself raises."""
    calls = [n.exc for n in ast.walk(node) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def complaints(source: str) -> list[str]:
    """What is missing in a module's public functions: docstrings, types, and the names of errors."""
    found = []
    for name, node in functions(ast.parse(source)):
        text = ast.get_docstring(node) or ""
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        untyped = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        if not text and name.rpartition(".")[2] not in api.INHERITED:
            found.append(f"{name}: no docstring")
        if untyped or node.returns is None:
            found.append(f"{name}: no type for {untyped or 'the result'}")
        found += [f"{name}: {error} is not named" for error in sorted(raised(node)) if error not in text]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_are_documented(module: str) -> None:
    """Docstring, types of all arguments and of the result, and each error that is raised here by name."""
    text = api.source(module).read_text(encoding="utf-8")
    assert complaints(text) == []
    assert len(ast.get_docstring(ast.parse(text)) or "") > 100


def test_complaints_are_found() -> None:
    """The check sees a missing docstring, a missing type and an unnamed error, and leaves private names alone."""
    source = 'def f(x, *, y: int):\n    raise ValueError("no")\ndef _g(x): pass\nclass C:\n    def m(self): "Doc."\n'
    assert complaints(source) == [
        "f: no docstring",
        "f: no type for ['x']",
        "f: ValueError is not named",
        "C.m: no type for the result",
    ]


def test_inherited_names_are_documented_somewhere() -> None:
    """What pages leave out is said once, by a protocol or base class."""
    documented = {
        name.rpartition(".")[2]
        for module in MODULES
        for name, node in functions(ast.parse(api.source(module).read_text(encoding="utf-8")))
        if ast.get_docstring(node)
    }
    assert api.INHERITED - documented == set()


def test_members_in_order_with_signatures() -> None:
    """Classes by constructor or fields, properties without parentheses, self and private names left out."""
    tree = ast.parse(
        "class A:\n    'a'\n    x: int = 3\n    _y: int = 4\n    @property\n    def p(self) -> int:\n        'p'\n"
        "    def m(self, n: int = 1) -> str:\n        'm'\n    def _h(self): pass\n"
        "class B:\n    'b'\n    def __init__(self, k: int) -> None: pass\ndef f(a: int, *, b) -> None:\n    'f'\n"
    )
    assert list(api.members(tree, "here")) == [
        ("A", "class A(x: int = 3)", "a"),
        ("A.p", "A.p -> int", "p"),
        ("A.m", "A.m(n: int=1) -> str", "m"),
        ("B", "class B(k: int)", "b"),
        ("f", "f(a: int, *, b) -> None", "f"),
    ]
    with pytest.raises(ExtensionError, match="here.g is public and has no docstring"):
        list(api.members(ast.parse("def g(): pass"), "here"))


def test_docstring_becomes_markup() -> None:
    """Paragraphs, indented formulas, names in backticks, and lists with continued entries."""
    made = api.body(
        "See `x` here.\n    a = b\n      c\n\nArgs:\n    n: one\n        and more\n    m: two\n\nLast."
    )
    kinds = [type(node).__name__ for node in made]
    assert kinds == ["paragraph", "literal_block", "paragraph", "bullet_list", "paragraph"]
    assert made[0].astext() == "See x here." and isinstance(made[0][1], nodes.literal)
    assert made[1].astext() == "a = b\n  c"
    assert [item.astext() for item in made[3]] == ["n: one and more", "m: two"]


def test_every_module_exists_once() -> None:
    """The page names no module twice, and only modules of the package."""
    assert len(set(MODULES)) == len(MODULES) and all(api.source(module).is_file() for module in MODULES)


def test_long_lines_of_blocks_are_wrapped() -> None:
    """Under their last part, or where they have three spaces; nothing is lost, and short blocks stay as they are."""
    text = "some word " * 12
    entry = api.wrapped([f"key    {text}", "       and more", "other  short"]).split("\n")
    assert [line[:7] for line in entry] == ["key    ", *[" " * 7] * (len(entry) - 2), "other  "]
    formula = api.wrapped([f"f(x) = {'x + ' * 14}1,     {'y + ' * 8}1"]).split("\n")
    assert len(formula) == 2 and formula[0].endswith("1,") and formula[1].startswith("    y + ")
    for lines in (entry, formula):
        assert max(map(len, lines)) <= api.WIDTH
    assert " ".join(entry).split() == f"key {text} and more other short".split()
    short = ["a    b", "     c", "d"]
    assert api.wrapped(short) == "\n".join(short)
