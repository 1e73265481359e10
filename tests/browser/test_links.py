"""Every link of the built book leads to a file, and to a place in it; addresses outside are well formed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import links  # noqa: E402

pytestmark = pytest.mark.browser


def test_no_link_is_broken(html: Path) -> None:
    """Files and anchors, from every page; the list of outside links is not empty."""
    broken, outside = links.check(html)
    assert broken == []
    assert any("doi.org" in address for address in outside)


def test_colab_opens_the_notebooks(html: Path) -> None:
    """The rocket of a chapter points at notebooks/NAME.ipynb, which exists."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found = [
            link for link in links.Page(html / "book" / f"{path.stem}.html").links if "colab.research" in link
        ]
        assert found and all(link.endswith(f"/notebooks/{path.name}") for link in found), path.stem


def test_broken_links_are_seen(tmp_path: Path) -> None:
    """A missing file, a missing anchor and a malformed address are three findings; sound links are none."""
    (tmp_path / "a.html").write_text('<p id="x"><a href="#x"></a><a href="b.html#y"></a><a href="#z"></a>')
    (tmp_path / "b.html").write_text(
        '<p id="y"><a href="c.html"></a><a href="https://nowhere"></a><a href="https://x.org/">'
    )
    broken, outside = links.check(tmp_path)
    assert [line.split(": ")[0] for line in broken] == ["a.html", "b.html", "b.html"]
    assert outside == {"https://nowhere", "https://x.org/"}


def test_outside_addresses_of_the_sources() -> None:
    """DOIs and preprints of the bibliography are among what the weekly run asks."""
    found = links.written()
    assert any(address.startswith("https://doi.org/10.") for address in found)
    assert all(" " not in address and address.count("://") == 1 for address in found)
