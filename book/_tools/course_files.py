"""What goes into the zips of the course, and zips whose bytes depend on their content alone.

    student_files()       the problem set: texts, starter code, adapters, public tests, the shim; no key, nothing hidden
    instructor_files()    that, the key, hidden tests, wrong answers, the tool that grades a folder of submissions
    write_zip(path, files)

A file is a name inside the zip and its bytes.  Tests: tests/test_course.py.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "book" / "course"
#: what runs CUDA on the CPU; the problem set takes it from the library, so that there is one version
SHIM = ("host_shim.h", "host_scheduler.h")
_EPOCH = (2026, 1, 1, 0, 0, 0)


def folder_files(folder: Path, prefix: str) -> dict[str, bytes]:
    """All files below a folder, caches left out."""
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def student_files(prefix: str = "problem-set") -> dict[str, bytes]:
    """The problem set as students get it."""
    shim = {f"{prefix}/shim/{name}": (ROOT / "kernels" / name).read_bytes() for name in SHIM}
    return (
        folder_files(COURSE / "student", prefix)
        | shim
        | {f"{prefix}/LICENSE": (ROOT / "LICENSE").read_bytes()}
    )


def instructor_files(prefix: str = "instructor") -> dict[str, bytes]:
    """The problem set, and all that students must not see."""
    return student_files(f"{prefix}/problem-set") | folder_files(COURSE / "instructor", prefix)


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write a zip in the order of names, with one fixed date: the same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    fresh.replace(path)


def unpack(files: dict[str, bytes], target: Path) -> None:
    """Write files below a folder, as unzipping would."""
    for name, data in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
