"""What the book needs beyond settings, as one Sphinx extension.

1. Offline assets. MathJax is copied from its wheel, and the widgets of `llvq_mini.widgets` are wrapped from
   ES modules into one classic script (a browser refuses to import modules from file://), into
   book/_build/static at build time.
2. Execution that follows the library. The cache of executed cells is keyed by their source; its folder here
   is also keyed by a hash of the package and of the committed results, so a changed library runs every
   chapter again.
3. Widgets without a kernel. Notebooks run with LLVQ_STATIC_WIDGETS set: a widget then answers with HTML of
   its own.
4. Colab. The theme links to the .md source, which Colab cannot open; the button is pointed at
   notebooks/*.ipynb.
5. What a page asks of its reader, below its title: minutes to read, exercises, seconds of its code; and what other
   sites show of it: its first paragraph and the social card (Open Graph).

Tests: tests/test_book.py and tests/browser/.
"""

from __future__ import annotations

import hashlib
import html
import math
import os
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import prose  # noqa: E402

STATIC = ROOT / "book" / "_build" / "static"
WIDGETS = ROOT / "llvq_mini" / "widgets"
EXPORT = "export default { render };"
#: what a page with formulas loads, below mathjax/static/mathjax/es5 in the wheel django-static-mathjax
MATHJAX = ("tex-chtml.js", "a11y/assistive-mml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")


def fingerprint(*patterns: str) -> str:
    """Hex digest (16 digits) over names and contents of the repository's files that match `patterns`."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def library_fingerprint() -> str:
    """Digest of all that a chapter's cells can see: the package, the results, the pinned packages."""
    return fingerprint(
        *("llvq_mini/**/*." + suffix for suffix in ("py", "js", "css", "ttf")),
        *("kernels/**/*", "benchmarks/results/**/*.json", "requirements*.txt", "constraints.txt"),
    )


def copy_mathjax(target: Path) -> None:
    """Copy the used part of MathJax into `target`; nothing is done when it is already there.

    Raises:
        ExtensionError: the wheel django-static-mathjax is not installed.
    """
    try:
        source = Path(str(files("mathjax"))) / "static" / "mathjax" / "es5"
    except ModuleNotFoundError as error:
        raise ExtensionError("MathJax (django-static-mathjax) is missing; run 'make env'") from error
    for name in MATHJAX:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def wrap_widgets(target: Path) -> None:
    """Write all widget modules as one classic script, widget-modules.js, and their styles as widgets.css.

    A widget module has no import, and its last export is ``export default { render };``; before it goes _shared.js.

    Raises:
        ExtensionError: a module has no such export.
    """
    scripts = ["window.llvqWidgets = window.llvqWidgets || {};\n"]
    shared = (WIDGETS / "_shared.js").read_text(encoding="utf-8")
    for path in sorted(WIDGETS.glob("[!_]*.js")):
        source = path.read_text(encoding="utf-8")
        if EXPORT not in source:
            raise ExtensionError(f"Widget {path.name} must end with {EXPORT!r}")
        body = source.replace(EXPORT, f'window.llvqWidgets["{path.stem}"] = {{ render }};')
        scripts.append(f"(function () {{\n{shared}{body}}})();\n")
    target.mkdir(parents=True, exist_ok=True)
    (target / "widget-modules.js").write_text("".join(scripts), encoding="utf-8")
    styles = [path.read_text(encoding="utf-8") for path in sorted(WIDGETS.glob("*.css"))]
    (target / "widgets.css").write_text("\n".join(styles), encoding="utf-8")


def prepare(app: Sphinx, config: Any) -> None:
    """Before anything is read: copy the assets, name the execution cache, announce the book to notebooks."""
    copy_mathjax(STATIC / "llvq" / "mathjax")
    wrap_widgets(STATIC / "llvq")
    config.html_static_path.append(STATIC.relative_to(ROOT).as_posix())
    config.html_baseurl = site(config.html_theme_options.get("repository_url", ""))

    library = library_fingerprint()
    cache = ROOT / "book" / "_build" / f".jupyter_cache-{library}"
    for old in cache.parent.glob(".jupyter_cache-*"):
        if old != cache:
            shutil.rmtree(old)
    config.nb_execution_cache_path = str(cache)
    # a changed value makes Sphinx read every page again; with the cache in place that takes seconds
    config.llvq_inputs = library + fingerprint("book/_ext/*.py", "book/_tools/prose.py", "book/_static/**/*")
    os.environ["LLVQ_STATIC_WIDGETS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"  # the labs then rehearse with what is on the machine
    own_profile()


def own_profile() -> None:
    """Give the kernels an empty IPython profile: a reader's own start-up files must not change the book."""
    profile = ROOT / "book" / "_build" / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    # otherwise each kernel warns that it listens, unencrypted, on this machine's loopback interface
    quiet = "c.IPKernelApp.log_level = 40\n"
    (profile / "ipython_kernel_config.py").write_text(quiet, encoding="utf-8")
    os.environ["IPYTHONDIR"] = str(profile.parent)


def site(repository: str) -> str:
    """Where GitHub Pages serves the newest version of a repository's book: the address in og: tags."""
    owner, name = repository.rstrip("/").split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/latest/"


#: words a minute of this prose, and seconds for a formula on a line of its own, a line of code, a figure
PACE = {"words": 190, "formula": 8, "code": 2, "figure": 20}


def minutes_to_read(doctree: nodes.document) -> int:
    """Minutes for text, displayed formulas, code and figures; solutions, which are folded, are left out."""
    words = formulas = lines = figures = 0
    for node in doctree.findall():
        inside, skip = node.parent, False
        while inside is not None and not skip:
            skip = "solution" in inside.get("classes", []) or type(inside).__name__ == "solution_node"
            inside = inside.parent
        if skip:
            continue
        if isinstance(node, nodes.Text) and not isinstance(node.parent, nodes.literal_block | nodes.raw):
            words += len(node.split())
        elif isinstance(node, nodes.math_block):
            formulas += 1
        elif isinstance(node, nodes.literal_block) and "ipython" in node.get("language", ""):
            lines += node.astext().count("\n") + 1
        elif isinstance(node, nodes.raw) and "<figure" in node.astext():
            figures += 1
    seconds = formulas * PACE["formula"] + lines * PACE["code"] + figures * PACE["figure"]
    return math.ceil(words / PACE["words"] + seconds / 60)


def facts(app: Sphinx, pagename: str, body: str) -> list[str]:
    """Minutes, exercises, and the seconds that its cells took when they ran last."""
    found = [f"{minutes_to_read(app.env.get_doctree(pagename))} minutes to read"]
    exercises = len(re.findall(r'<div class="[^"]*\bexercise\b', body))
    if exercises:
        found.append(f"{exercises} exercises with solutions")
    run = (app.env.nb_metadata[pagename].get("exec_data") or {}).get("runtime")
    if run:
        found.append(f"its code ran in {run:.0f} s" if run >= 1 else "its code ran in less than a second")
    return found


def times(app: Sphinx, body: str) -> str:
    """The body with minutes and seconds in each <span class="llvq-time" data-page="NAME">; "all" has their sums."""
    pages = re.findall(r'<span class="llvq-time" data-page="(\w+)">', body)
    minutes, seconds = {}, {}
    for name in (page for page in pages if page != "all"):
        minutes[name] = minutes_to_read(app.env.get_doctree(f"book/{name}"))
        seconds[name] = (app.env.nb_metadata[f"book/{name}"].get("exec_data") or {}).get("runtime") or 0.0
    texts = {name: f"{minutes[name]} min, runs {max(seconds[name], 1):.0f} s" for name in minutes}
    hours, run = sum(minutes.values()) / 60, sum(seconds.values()) / 60
    texts["all"] = (
        f"In all about {hours:.0f} hours to read; the code of all chapters ran in {run:.0f} minutes."
    )
    span = r'(<span class="llvq-time" data-page="(\w+)">)</span>'
    return re.sub(span, lambda found: f"{found[1]}{texts[found[2]]}</span>", body)


def first_paragraph(doctree: nodes.document) -> str:
    """The first paragraph of running text, cut at a sentence after about 200 characters."""
    for node in doctree.findall(nodes.paragraph):
        if isinstance(node.parent, nodes.section):
            text = " ".join(re.sub(r"\[[^\]]*\]", "", node.astext()).split())
            cut = re.match(r".{80,240}?[.?!](?= |$)", text)
            return cut[0] if cut else text[:200]
    return ""


def introduce(app: Sphinx, pagename: str, context: dict[str, Any], doctree: nodes.document) -> None:
    """Put the facts below the title, and Open Graph tags into the head."""
    if not pagename.startswith("book/"):
        return
    if "cell_input" in context["body"]:  # a chapter, and not a list of references
        items = "".join(f"<li>{fact}</li>" for fact in facts(app, pagename, context["body"]))
        context["body"] = context["body"].replace("</h1>", f'</h1>\n<ul class="llvq-facts">{items}</ul>', 1)
    base = app.config.html_baseurl
    tags = {
        "og:type": "article",
        "og:title": re.sub(r"<[^>]+>", "", context["title"]),
        "og:description": first_paragraph(doctree),
        "og:url": f"{base}{pagename}.html",
        "og:image": f"{base}_static/llvq/card.png",
        "og:image:alt": "Leech lattice vector quantization: an executable book",
    }
    lines = [f'<meta property="{key}" content="{html.escape(text)}"/>' for key, text in tags.items() if text]
    lines.append('<meta name="twitter:card" content="summary_large_image"/>')
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def finish_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the widget scripts where a widget is, point Colab at the notebook, give reference lists their role."""
    body = context.get("body", "")
    # docutils puts doc-biblioentry into a list, whose children ARIA wants to be list items
    context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')
    if doctree is not None:
        introduce(app, pagename, context, doctree)
    if 'class="llvq-time"' in body:
        context["body"] = times(app, context["body"])
    if "data-llvq-widget" in body:
        app.add_js_file("llvq/widget-modules.js", loading_method="defer", priority=800)
        app.add_js_file("llvq/widget-loader.js", loading_method="defer", priority=801)
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "colab.research.google.com" in button.get("url", ""):
                name = pagename.removeprefix("book/")
                button["url"] = button["url"].replace(f"/{pagename}.md", f"/notebooks/{name}.ipynb")


def number(name: str, raw: str, text: str, line: int, inliner: Any, *_: Any) -> tuple[list[Any], list[Any]]:
    """The role {num}: the text of a number of the results; a wrong SPEC is an error of the build."""
    try:
        return [nodes.Text(prose.resolve(text))], []
    except ValueError as error:
        message = inliner.reporter.error(str(error), line=line)
        return [inliner.problematic(raw, raw, message)], [message]


def setup(app: Sphinx) -> dict[str, Any]:
    """Entry point of the extension."""
    app.add_config_value("llvq_inputs", "", "env", str)
    app.add_css_file("llvq/widgets.css")
    app.add_role("num", number)
    app.connect("config-inited", prepare)
    app.connect("html-page-context", finish_page, priority=900)  # after the theme has made its buttons
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
