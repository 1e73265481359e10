"""book.pdf: every page of the built book printed by Chromium and joined, with a cover, an outline and page numbers.

    with chromium() as browser:
        write(browser, html, target, names)     html: folder of the built book; names: pages in reading order

Pages are printed from disk with the print styles of the book, in the light theme. Solutions and folded code are
opened, so nothing is lost on paper; widgets keep their static pictures, because the script that brings them to life is
not loaded. Links between chapters lead to the place they name inside the PDF. Page numbers and chapter titles are laid
over the joined pages, since Chromium numbers each file anew; what pypdf then leaves unpacked is compressed again.

Tests: tests/browser/test_course_pdf.py.
"""

from __future__ import annotations

import base64
import html as escape
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, Fit, FloatObject, NameObject, NullObject

TITLE = "LLVQ: from the Golay code to a 2-bit language model"
FLAGS = ["--no-sandbox", "--disable-gpu"]
#: what paper does not need, and no part of a solution hidden
STYLE = """
#jb-print-docs-body, .bd-header, .bd-sidebar, .llvq-facts a, #rtd-footer-container { display: none !important; }
.toggle-hidden:not(.admonition-title), .toggle-hidden { display: block !important; visibility: visible !important;
  height: auto !important; max-height: none !important; opacity: 1 !important; }
.toggle-hidden > *, .admonition.toggle-hidden > * { visibility: visible !important; opacity: 1 !important;
  height: auto !important; display: revert; }
.toggle-button, .tb-button { display: none !important; }
.bd-article h1 { display: block !important; }
pre { white-space: pre-wrap !important; overflow: visible !important; }
.copybtn { display: none !important; }
details, details * { opacity: 1 !important; animation: none !important; transition: none !important; }
"""
#: everything unfolded; Chromium notes the places of ids that something links to, so a hidden list links to all of them
OPEN = """() => {
    for (const node of document.querySelectorAll("details")) node.open = true;
    for (const node of document.querySelectorAll(".toggle-hidden")) node.classList.remove("toggle-hidden");
    const title = document.querySelector(".bd-article h1");
    const plain = (node) => [...node.childNodes].filter((n) => !n.classList?.contains("headerlink"))
        .map((n) => n.nodeName === "MJX-CONTAINER" ? (n.querySelector("mjx-assistive-mml") ?? n).textContent
            : n.textContent).join("").trim();
    const links = document.createElement("div");
    links.hidden = true;
    for (const node of document.querySelectorAll(".bd-article [id]")) {
        if (node.closest("mjx-container, svg")) continue;
        links.append(Object.assign(document.createElement("a"), { href: `#${node.id}` }));
    }
    document.querySelector(".bd-article")?.append(links);
    const heads = [...document.querySelectorAll(".bd-article section > h2")].filter((n) => n.checkVisibility());
    return [title ? plain(title) : "", heads.map((n) => [n.parentNode.id, plain(n)])];
}"""


@dataclass
class Chapter:
    """A printed page of the book."""

    name: str
    title: str
    pdf: bytes
    sections: list[tuple[str, str]]  # id and heading


#: page of the PDF from 0 and height on it (None: its top); keys are names of pages, with #id for a place on them
Places = dict[str, tuple[int, float | None]]


def find_chromium() -> str:
    """Path of a Chromium; RuntimeError says how to get one."""
    for name in (os.environ.get("LLVQ_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    raise RuntimeError("book.pdf is printed by Chromium; install it (Debian: apt-get install chromium)")


def print_chapter(page: Any, html: Path, name: str) -> Chapter:
    """Print one page with everything unfolded."""
    path = html / f"{name}.html"
    if not path.exists():
        raise RuntimeError(f"{path} is missing; run 'make book'")
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise")
    page.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")
    title, heads = page.evaluate(OPEN)
    page.add_style_tag(content=STYLE)
    margin = {"top": "18mm", "bottom": "20mm", "left": "17mm", "right": "17mm"}
    pdf = page.pdf(format="A4", print_background=True, margin=margin, scale=0.92)
    return Chapter(name, title, pdf, [(anchor, heading) for anchor, heading in heads])


def letters(html: Path) -> str:
    """The book's Inter as CSS, since pages without an address cannot load files."""
    font = (html / "_static" / "llvq" / "fonts" / "inter-latin-wght-normal.woff2").read_bytes()
    source = f"data:font/woff2;base64,{base64.b64encode(font).decode()}"
    return f'@font-face{{font-family:Inter;font-weight:100 900;src:url("{source}")}}'


def cover(page: Any, html: Path, chapters: list[Chapter], starts: list[int]) -> bytes:
    """The first page: title, logo, contents; RuntimeError if they need a second one."""
    logo = html / "_static" / "llvq" / "logo.svg"
    rows = "".join(
        f"<tr><td>{escape.escape(chapter.title)}</td><td>{start}</td></tr>"
        for chapter, start in zip(chapters, starts, strict=True)
    )
    page.set_content(
        f"<style>{letters(html)}body{{font:12pt/1.4 Inter,sans-serif;color:#1f2933;margin:14mm 14mm 0}}"
        "svg{width:36mm}h1{font-size:28pt;line-height:1.12;letter-spacing:-.02em;margin:9mm 0 3mm}"
        "p{color:#5b6875;margin:0 0 9mm}table{width:100%;border-collapse:collapse;font-size:10.5pt}"
        "td{padding:.9mm 0;border-bottom:.3mm solid #d5dbe1}td+td{text-align:right}</style>"
        f"{logo.read_text(encoding='utf-8')}<h1>{TITLE}</h1><p>The llvq_mini authors. Apache-2.0.</p>"
        f"<table>{rows}</table>"
    )
    page.evaluate("document.fonts.ready.then(() => 1)")
    made = page.pdf(format="A4", print_background=True)
    if (count := len(PdfReader(io.BytesIO(made)).pages)) != 1:
        raise RuntimeError(f"the contents need {count} pages; the cover has room for one")
    return made


def footers(page: Any, html: Path, lines: list[tuple[str, int]]) -> bytes:
    """Transparent pages with a chapter title and a number at the foot each."""
    sheets = "".join(
        f"<div><span>{escape.escape(title)}</span><span>{number}</span></div>" for title, number in lines
    )
    page.set_content(
        f"<style>{letters(html)}@page{{size:A4;margin:0}}body{{margin:0}}"
        "div{box-sizing:border-box;height:297mm;padding:284mm 17mm 0;"
        "display:flex;justify-content:space-between;break-after:page;font:8.5pt Inter,sans-serif;"
        f"color:#5b6875}}div:last-child{{break-after:auto}}</style>{sheets}"
    )
    return page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "0"))


def places_of(chapters: list[Chapter], readers: list[PdfReader], starts: list[int]) -> Places:
    """Where every page of the book and every id on it is in the PDF; `starts` counts from 0."""
    places: Places = {}
    for chapter, reader, start in zip(chapters, readers, starts, strict=True):
        places[chapter.name] = (start, None)
        for anchor, there in reader.named_destinations.items():
            number = reader.get_destination_page_number(there)
            if number is not None:
                key = f"{chapter.name}#{anchor.removeprefix('/')}"
                places[key] = (start + number, float(there.top or 0) or None)
    return places


def relink(writer: PdfWriter, html: Path, places: Places, owners: list[str]) -> None:
    """Links to the book become links inside the PDF, others on disk are dropped. `owners`: chapter of each page."""
    root = html.as_uri() + "/"
    for page, owner in zip(writer.pages, owners, strict=True):
        kept = ArrayObject()
        for reference in page.get("/Annots", []):
            note = reference.get_object()
            address = str(note.get("/A", {}).get("/URI", ""))
            if isinstance(note.get("/Dest"), str):  # inside its chapter; names repeat from chapter to chapter
                address = f"{root}{owner}.html#{note.pop('/Dest').removeprefix('/')}"
            if address.startswith("file:"):
                name, _, anchor = unquote(address.removeprefix(root)).partition("#")
                name = name.removesuffix(".html")
                if name not in places:
                    continue
                number, top = places.get(f"{name}#{anchor}", places[name])
                there = [writer.pages[number].indirect_reference, NameObject("/XYZ"), NullObject()]
                height = NullObject() if top is None else FloatObject(top)
                action = {NameObject("/S"): NameObject("/GoTo")}
                action[NameObject("/D")] = ArrayObject([*there, height, NullObject()])
                note[NameObject("/A")] = DictionaryObject(action)
            kept.append(reference)
        if "/Annots" in page:
            page[NameObject("/Annots")] = kept
    writer.root_object.pop("/Names", None)


def outline(writer: PdfWriter, chapters: list[Chapter], places: Places) -> None:
    """Cover, chapters, and below them their sections."""
    writer.add_outline_item("Cover", 0)
    for chapter in chapters:
        parent = writer.add_outline_item(chapter.title, places[chapter.name][0], is_open=False)
        for anchor, heading in chapter.sections:
            number, top = places.get(f"{chapter.name}#{anchor}", places[chapter.name])
            writer.add_outline_item(heading, number, parent, fit=Fit.xyz(top=top))


def join(page: Any, html: Path, chapters: list[Chapter]) -> PdfWriter:
    """Cover, chapters, outline, footers, links."""
    readers = [PdfReader(io.BytesIO(chapter.pdf)) for chapter in chapters]
    starts, lines, owners = [], [], [""]  # page 1 is the cover
    for chapter, reader in zip(chapters, readers, strict=True):
        starts.append(len(owners))
        owners += [chapter.name] * len(reader.pages)
        lines += [(chapter.title, starts[-1] + 1 + place) for place in range(len(reader.pages))]
    front = cover(page, html, chapters, [start + 1 for start in starts])
    writer = PdfWriter()
    writer.append(PdfReader(io.BytesIO(front)), import_outline=False)
    for reader in readers:
        writer.append(reader, import_outline=False)
    feet = PdfReader(io.BytesIO(footers(page, html, lines)))
    if len(feet.pages) != len(lines):
        raise RuntimeError(f"{len(feet.pages)} footers for {len(lines)} pages; the paper size differs")
    for place, foot in enumerate(feet.pages, 1):
        writer.pages[place].merge_page(foot)
    places = places_of(chapters, readers, starts)
    outline(writer, chapters, places)
    relink(writer, html, places, owners)
    for sheet in writer.pages:  # merge_page leaves them unpacked: four fifths of the file
        sheet.compress_content_streams()
    writer.compress_identical_objects()
    day = datetime(2026, 1, 1)
    writer.add_metadata(
        {"/Title": TITLE, "/Author": "The llvq_mini authors", "/CreationDate": day.strftime("D:%Y%m%d%H%M%S")}
    )
    return writer


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser. RuntimeError where there is none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


def write(browser: Any, html: Path, target: Path, names: list[str]) -> int:
    """Print and join; returns the number of pages. RuntimeError for a missing page."""
    context = browser.new_context(viewport={"width": 1100, "height": 1500}, color_scheme="light")
    context.route("**/widget-loader.js*", lambda route: route.abort())
    page = context.new_page()
    page.set_default_timeout(180_000)
    page.emulate_media(media="print", color_scheme="light")
    chapters = [print_chapter(page, html, name) for name in names]
    writer = join(page, html, chapters)
    context.close()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        writer.write(file)
    return len(writer.pages)
