"""Draws the social card, book/_static/llvq/card.png: what other sites show beside a link to the book.

    python book/_tools/card.py         needs Chromium, as the browser tests do; the picture is committed

The picture is the 196,560 shortest vectors of the Leech lattice in a plane that one of its symmetries turns: 23 of the
24 coordinates, in the order in which the quadratic-residue code is cyclic, stand on a circle. The 1,104 vectors of
shape (4, 4, 0, ...) are drawn in orange. Nothing else of the book needs this file.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from llvq_mini import kissing

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static" / "llvq"
#: coordinate i of the cyclic code is coordinate CYCLIC[i] of golay.WORDS (tests/conftest.py finds and proves it)
CYCLIC = [0, 1, 2, 3, 4, 8, 9, 18, 10, 22, 16, 17, 21, 11, 13, 7, 12, 5, 19, 14, 6, 23, 15, 20]
SIZE = (1200, 630)  # what Open Graph recommends

_PAGE = """<!doctype html><style>
@font-face {{ font-family: Text; src: url("fonts/source-serif-4-latin-wght-normal.woff2"); font-weight: 200 900; }}
@font-face {{ font-family: Head; src: url("fonts/inter-latin-wght-normal.woff2"); font-weight: 100 900; }}
body {{ margin: 0; width: 1200px; height: 630px; background: #11171d; color: #dde4eb; overflow: hidden; }}
svg {{ position: absolute; right: -90px; top: -45px; }}
h1 {{ position: absolute; left: 72px; top: 120px; width: 640px; margin: 0;
      font: 740 68px/1.08 Head; letter-spacing: -2px; }}
p {{ position: absolute; left: 72px; top: 400px; width: 520px; margin: 0; font: 400 31px/1.35 Text; color: #a3b0bd; }}
i {{ position: absolute; left: 72px; top: 84px; width: 96px; height: 8px; border-radius: 4px;
     background: linear-gradient(90deg, #79aef5 72%, #f0a04b 72%); }}
</style><i></i><h1>From the Golay code to a 2-bit language model</h1>
<p>Leech lattice vector quantization, in a book that computes every number it prints</p>
<svg width="720" height="720" viewBox="-1 -1 2 2">{dots}</svg>"""


def dots() -> str:
    """SVG circles at the places of the projected vectors."""
    vectors = kissing.decode(np.arange(kissing.COUNT)).astype(np.float64)
    angle = 2 * np.pi * np.arange(23) / 23
    plane = vectors[:, CYCLIC[:23]] @ np.stack([np.cos(angle), np.sin(angle)], axis=1)
    plane /= np.linalg.norm(plane, axis=1).max() * 1.02
    orange = np.abs(vectors).max(axis=1) == 4
    _, first = np.unique(np.round(plane[~orange], 3), axis=0, return_index=True)
    parts = [f'<circle cx="{x:.3f}" cy="{y:.3f}" r=".0018"/>' for x, y in plane[~orange][first]]
    bright = [f'<circle cx="{x:.3f}" cy="{y:.3f}" r=".006"/>' for x, y in np.unique(plane[orange], axis=0)]
    return f'<g fill="#79aef5" opacity=".55">{"".join(parts)}</g><g fill="#f0a04b">{"".join(bright)}</g>'


def main() -> int:
    """Write the card; exit status 1 without a Chromium."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("No Chromium found; install it (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    page_file = STATIC / "card.html"
    page_file.write_text(_PAGE.format(dots=dots()), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
            page.goto(page_file.as_uri())
            page.evaluate("document.fonts.ready")
            page.screenshot(path=STATIC / "card.png")
            chromium.close()
    finally:
        page_file.unlink()
    card = Image.open(STATIC / "card.png").convert("RGB").quantize(64, dither=Image.Dither.NONE)
    card.save(STATIC / "card.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
