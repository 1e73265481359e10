"""`make course`: everything a lecturer needs, below out/course. Offline, without LaTeX.

    student.zip         the problem set: texts, starter code, public tests, the autograder
    instructor.zip      that, key, hidden tests, wrong answers, grading of a whole class, quizzes, slides, syllabus
    slides/             four decks; open week1.html
    book-offline.zip    the built book; unzip and open index.html
    book.pdf            the book on paper (needs Chromium)

The book is built first if it is not there. Zips have the same bytes whenever their content is the same.
Tests: tests/test_course.py, tests/test_course_slides.py, tests/browser/test_slides.py, test_course_pdf.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import course_files
import course_pdf
import course_quiz
import course_slides
import yaml

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "book" / "_build" / "html"
OUT = ROOT / "out" / "course"


def pages() -> list[str]:
    """The pages of the book in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"]] + [entry["file"] for part in toc["parts"] for entry in part["chapters"]]


def offline_files() -> dict[str, bytes]:
    """The built book without what only Sphinx needs."""
    files = course_files.folder_files(HTML, "llvq-book")
    return {name: data for name, data in files.items() if not name.endswith((".buildinfo", ".buildinfo.bak"))}


def main() -> int:
    """Write all of it; status 1 with a sentence if something is missing."""
    if not (HTML / "index.html").exists():
        status = subprocess.run(
            [sys.executable, str(ROOT / "book" / "_tools" / "build.py")], check=False
        ).returncode
        if status:
            return status
    course_files.write_zip(OUT / "student.zip", course_files.student_files())
    course_slides.build(OUT / "slides")
    instructor = course_files.instructor_files() | course_quiz.files("instructor/quiz")
    instructor |= course_files.folder_files(OUT / "slides", "instructor/slides")
    instructor["instructor/syllabus.md"] = (ROOT / "book" / "teaching.md").read_bytes()
    course_files.write_zip(OUT / "instructor.zip", instructor)
    course_files.write_zip(OUT / "book-offline.zip", offline_files())
    try:
        with course_pdf.chromium() as browser:
            count = course_pdf.write(browser, HTML, OUT / "book.pdf", pages())
    except RuntimeError as error:
        print(f"make: book.pdf was not made: {error}", file=sys.stderr)
        return 1
    for path in sorted(OUT.glob("*.*")):
        print(f"  {path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")
    print(f"  {(OUT / 'slides').relative_to(ROOT)}/  open week1.html; book.pdf has {count} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
