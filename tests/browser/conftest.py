"""Headless Chromium over the built book, from file://.

Without a Chromium or without a built book these tests are skipped with a reason; where CI is set they fail
instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HTML = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"
#: nothing that the browser does for itself may look like a request of the page
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-component-update "
    "--disable-sync --disable-quic --disable-extensions"
).split()


def missing(reason: str) -> None:
    """Skip, or fail where the environment must be complete."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the built book."""
    if not (HTML / "index.html").exists():
        missing("the book is not built; run 'make book'")
    return HTML


@pytest.fixture(scope="session")
def browser(html: Path) -> Iterator[Any]:
    """One Chromium for all tests."""
    names = (os.environ.get("LLVQ_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        missing("no Chromium found; install it (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """An open page and what happened on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.outside: list[str] = []
        self.failed: list[str] = []
        self.console: list[str] = []
        page.on("request", self._request)
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        page.on("console", self._message)
        page.on("pageerror", lambda error: self.console.append(str(error)))

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.outside.append(request.url)

    def _message(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.console.append(message.text)


@pytest.fixture
def visit(browser: Any, html: Path) -> Iterator[Callable[..., Visit]]:
    """visit(page, scheme, width): open a page of the book from disk and wait until its formulas are set."""
    contexts = []

    def open_page(name: str, scheme: str = "light", width: int = 1280, **options: Any) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        contexts.append(context)
        seen = Visit(context.new_page())
        path, mark, query = name.partition("?")
        seen.page.goto((html / path).as_uri() + mark + query, wait_until="load")
        if options.get("java_script_enabled", True):
            seen.page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise")
            seen.page.evaluate(
                "window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1"
            )
        return seen

    yield open_page
    for context in contexts:
        context.close()


#: most of a page's nodes are inside figures (paths; a label describes them) and formulas (MathJax's own)
INSIDES = {"exclude": [[".llvq-figure svg > *"], ["mjx-container > *"]]}


@pytest.fixture
def violations() -> Callable[..., list[str]]:
    """violations(page, whole=False): the serious and critical findings of axe-core, one line each.

    Without `preload` axe-core requests nothing, so a page's own requests and messages can be checked afterwards.
    """
    from axe_playwright_python.sync_playwright import Axe

    def find(page: Any, whole: bool = False) -> list[str]:
        options = {"preload": False, "resultTypes": ["violations"]}
        found = Axe().run(page, None if whole else INSIDES, options).response["violations"]
        return [
            f"{item['id']} ({item['impact']}): {node['target']} {node.get('failureSummary', '')[:300]}"
            for item in found
            if item["impact"] in ("serious", "critical")
            for node in item["nodes"]
        ]

    return find


MOUNT = """async ([source, state]) => {
    const module = await import("data:text/javascript," + encodeURIComponent(source));
    window.calls = {};
    window.model = {
        get: (key) => state[key], save_changes: () => {},
        set: (key, value) => { state[key] = value; (calls["change:" + key] || (() => {}))(); },
        on: (event, callback) => (calls[event] = callback),
        off: (event) => delete calls[event],
    };
    document.body.replaceChildren();
    window.leave = module.default.render({ model: window.model, el: document.body });
}"""


@pytest.fixture
def mount(visit: Callable[..., Visit]) -> Callable[[Any], Any]:
    """mount(widget): a page with nothing but that widget, rendered as anywidget does it, as an ES module.

    window.model is its model, calls holds the model's listeners, and leave() undoes the rendering.
    """

    def render(widget: Any) -> Any:
        page = visit("book/references.html").page
        page.evaluate(MOUNT, [widget.module(), widget.state])
        return page

    return render
