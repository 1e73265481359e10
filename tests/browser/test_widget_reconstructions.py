"""The reconstructions on their page: slider, pictures and errors by keyboard; PSNR is that of the pixels shown."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = "book/spherical.html"

pytestmark = pytest.mark.browser

#: the squared error of two images, taken from their pixels
ERROR = """([one, two]) => {
    const pixels = (image) => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const pen = canvas.getContext("2d");
        pen.drawImage(image, 0, 0);
        return pen.getImageData(0, 0, canvas.width, canvas.height).data;
    };
    const images = [...document.querySelectorAll(".llvq-rc-pictures img")];
    const [a, b] = [pixels(images[one]), pixels(images[two])];
    let sum = 0;
    for (let i = 0; i < a.length; i++) if (i % 4 < 3) sum += (a[i] - b[i]) ** 2;
    return sum / (a.length * 3 / 4);
}"""


@pytest.fixture(scope="module")
def state(html: Path) -> dict[str, Any]:
    """What the widget of the page was given."""
    text = (html / PAGE).read_text(encoding="utf-8")
    found = re.search(
        r'data-llvq-widget="reconstructions"><script type="application/json">(.*?)</script>', text, re.S
    )
    assert found
    return json.loads(found[1])


def check(page: Any, state: dict[str, Any], stop: int, picture: int) -> None:
    """Captions, alternative texts, table and announcement belong to this stop and picture."""
    rows = state["stops"][stop]
    captions = page.locator(".llvq-rc figcaption").all_inner_texts()
    assert captions[0] == "original" and len(captions) == len(rows) + 1
    for row, caption in zip(rows, captions[1:], strict=True):
        assert caption.split("\n") == [row["code"], f"{row['bits']:.2f} bits, {row['psnr'][picture]:.2f} dB"]
    alts = page.locator(".llvq-rc img:not(.over)").evaluate_all("all => all.map(i => i.alt)")
    assert all(alt.startswith(state["names"][picture] + ", ") for alt in alts) and len(set(alts)) == len(alts)
    cells = page.locator(".llvq-rc tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert cells == [
        [r["code"], f"{r['bits']:.2f}", f"{r['bits'] / state['patch']:.5f}", *(f"{p:.2f}" for p in r["psnr"])]
        for r in rows
    ]
    said = page.locator(".llvq-rc .llvq-w-status").inner_text()
    assert all(f"{r['code']} {r['psnr'][picture]:.2f} dB" in said for r in rows)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_slider_and_pictures_by_keyboard(
    visit: Any, violations: Any, state: dict[str, Any], scheme: str, width: int
) -> None:
    """The slider goes from few bits to many, arrow keys choose pictures, the space bar shows errors."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    slider = page.get_by_label("Bits", exact=True)
    check(page, state, state["stop"], 0)
    slider.focus()
    page.keyboard.press("Home")
    for stop in range(len(state["stops"])):
        check(page, state, stop, 0)
        assert slider.get_attribute("aria-valuetext").endswith("bits a token")
        page.keyboard.press("ArrowRight")
    page.get_by_label(state["names"][0], exact=True).focus()
    for picture in range(1, len(state["names"])):
        page.keyboard.press("ArrowRight")
        check(page, state, len(state["stops"]) - 1, picture)
    page.get_by_label("show the errors").press("Space")
    assert page.locator(".llvq-rc .box.errors img.over").count() == len(state["stops"][-1])
    assert "errors of the autoencoder" in page.locator(".llvq-rc img").nth(1).get_attribute("alt")
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_psnr_is_that_of_the_pixels(visit: Any, state: dict[str, Any]) -> None:
    """Decoded by the browser, each picture has the PSNR that is written under it."""
    page = visit(PAGE).page
    page.wait_for_function(
        "[...document.querySelectorAll('.llvq-rc-pictures img')].every(i => i.complete && i.naturalWidth)"
    )
    for n, row in enumerate(state["stops"][state["stop"]], start=1):
        error = page.evaluate(ERROR, [0, n])
        assert 10 * math.log10(255**2 / error) == pytest.approx(row["psnr"][0], abs=1e-3)


def test_static_pictures_without_javascript(visit: Any, state: dict[str, Any]) -> None:
    """The original and the reconstructions of the first stop shown, with their numbers."""
    page = visit(PAGE, java_script_enabled=False).page
    rows = state["stops"][state["stop"]]
    assert page.locator(".llvq-rc.llvq-w-static svg image").count() == len(rows) + 1
    text = page.locator(".llvq-rc.llvq-w-static table").inner_text()
    assert all(f"{row['psnr'][0]:.2f}" in text for row in rows)
