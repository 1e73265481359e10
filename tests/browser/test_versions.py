"""The published book: the sidebar of each version leads to the same page of the others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def published(html: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a site with the built book as latest/ and an older book of one chapter as v0.1/."""
    (tmp_path / "latest").symlink_to(html)
    old = tmp_path / "v0.1" / "book"
    old.mkdir(parents=True)
    (old / "golay.html").write_text("<title>old chapter</title>", encoding="utf-8")
    (tmp_path / "v0.1" / "index.html").write_text("<title>old first page</title>", encoding="utf-8")
    (tmp_path / "versions.json").write_text(json.dumps(["latest", "v0.1"]), encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(("page", "title"), [("golay", "old chapter"), ("leech", "old first page")])
def test_another_version_of_a_page(browser: Any, published: str, page: str, title: str) -> None:
    """The chooser has both versions and leads to the same page, or to the first one if the other book lacks it."""
    with browser.new_page() as tab:
        tab.goto(f"{published}/latest/book/{page}.html")
        choice = tab.locator(".llvq-versions select")
        choice.wait_for()
        assert choice.locator("option").all_inner_texts() == ["latest", "v0.1"]
        assert choice.input_value() == "latest"
        choice.select_option("v0.1")
        tab.wait_for_url("**/v0.1/**")
        assert tab.title() == title


def test_from_disk_there_is_one_version(visit: Any) -> None:
    """A book opened from disk asks for no list of versions."""
    assert visit("book/golay.html").page.locator(".llvq-versions select").count() == 0
