"""book.pdf from two short pages of the built book, and the zip of the book."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_tools"))

import course  # noqa: E402
import course_files  # noqa: E402
import course_pdf  # noqa: E402
from pypdf import PdfReader  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def titles(reader: PdfReader) -> list[str]:
    """The outline, top level."""
    return [str(entry.title) for entry in reader.outline if not isinstance(entry, list)]


def test_two_pages(browser: Any, html: Path, tmp_path: Path) -> None:
    """Cover, outline, numbers at the foot, and links between chapters that stay inside."""
    names = ["book/references", "book/teaching"]
    count = course_pdf.write(browser, html, tmp_path / "two.pdf", names)
    reader = PdfReader(tmp_path / "two.pdf")
    path_size = (tmp_path / "two.pdf").stat().st_size
    assert len(reader.pages) == count >= 3
    assert len(titles(reader)) == 3 and titles(reader)[0] == "Cover"
    text = [page.extract_text() for page in reader.pages]
    assert course_pdf.TITLE.split(":")[0] in text[0] and all(title in text[0] for title in titles(reader)[1:])
    assert path_size < 3_000_000, "page contents are compressed"
    tops = [entry for entry in reader.outline if not isinstance(entry, list)]
    starts = [reader.get_destination_page_number(entry) for entry in tops]
    assert all(title in text[start] for title, start in zip(titles(reader)[1:], starts[1:], strict=True))
    assert all(text[number].rstrip().endswith(str(number + 1)) for number in range(1, count))
    notes = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    assert not any(str(note.get("/A", {}).get("/URI", "")).startswith("file:") for note in notes)
    below = reader.outline[-1]  # sections of the last page, each where its heading is
    assert isinstance(below, list)
    headings = [str(entry.title) for entry in below]
    assert {"Four weeks", "Grading"} <= set(headings)
    for entry, heading in zip(below, headings, strict=True):
        assert heading in text[reader.get_destination_page_number(entry)].replace("\n", " "), heading


def test_solutions_are_open(html: Path, browser: Any) -> None:
    """What is folded on the screen is in the text of the paper, and widgets stand still."""
    context = browser.new_context()
    context.route("**/widget-loader.js*", lambda route: route.abort())
    page = context.new_page()
    page.emulate_media(media="print", color_scheme="light")
    chapter = course_pdf.print_chapter(page, html, "book/golay")
    hidden = page.evaluate(
        "[...document.querySelectorAll('.solution p, .solution pre')].filter(n => !n.checkVisibility()).length"
    )
    widget = page.locator("[data-llvq-widget] button").count()
    context.close()
    assert chapter.title and hidden == 0 and widget == 0
    assert len(chapter.pdf) > 100_000


def test_missing_page_says_what_to_do(tmp_path: Path) -> None:
    """A page that is not built is an error with a remedy, before anything is printed."""
    with pytest.raises(RuntimeError, match="run 'make book'"):
        course_pdf.print_chapter(None, tmp_path, "book/why")


def test_offline_zip(html: Path, tmp_path: Path) -> None:
    """index.html lies at the top, every page is in it, and unzipped it is the built book."""
    files = course.offline_files()
    assert "llvq-book/index.html" in files
    assert {f"llvq-book/{name}.html" for name in course.pages()} <= set(files)
    course_files.write_zip(tmp_path / "book.zip", {name: files[name] for name in sorted(files)[:40]})
    with zipfile.ZipFile(tmp_path / "book.zip") as archive:
        assert all(info.date_time == (2026, 1, 1, 0, 0, 0) for info in archive.infolist())
        assert all(archive.read(name) == files[name] for name in archive.namelist())
