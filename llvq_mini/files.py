"""Files that appear complete or not at all.

Everything is written under a temporary name beside its final one, flushed to the disk, and renamed when it is
complete: a rename within one folder is atomic, so a crash or Ctrl-C leaves either the old state or the new
one under the final name. A process that is killed outright can leave a hidden ``.NAME.partial-PID``; it never
carries the final name. Work that is worth continuing has a folder of its own (resume.py).

What this file does not do: lock against a second process (the last rename wins). Tests:
``tests/test_store.py``.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import LLVQError


def flush(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_folder(final: Path, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill; on success it becomes `final`, on any exception it is removed.

    `replace` allows `final` to exist already, as a folder; otherwise that is an LLVQError. A full disk is an
    LLVQError too.
    """
    final = Path(os.path.abspath(final))
    if os.path.lexists(final) and not (replace and final.is_dir()):
        raise LLVQError(
            f"The output '{final}' exists already; remove it, choose another name or pass --force"
        )
    partial = final.with_name(f".{final.name}.partial-{os.getpid()}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        for path in sorted(partial.iterdir()):
            path.chmod(0o644)
            flush(path)
        flush(partial)
        _swap_in(partial, final)
    except OSError as error:
        raise explained(error, final) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap_in(partial: Path, final: Path) -> None:
    """Rename `partial` to `final`,
    moving an existing folder out of the way first and putting it back on failure.
    """
    old = final.with_name(f".{final.name}.replaced-{os.getpid()}")
    if final.is_dir():
        os.rename(final, old)
    try:
        os.rename(partial, final)
    except BaseException:
        if old.is_dir():
            os.rename(old, final)
        raise
    flush(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def explained(error: OSError, final: Path) -> LLVQError:
    """What an OSError while writing `final` means to the user."""
    if error.errno == errno.ENOSPC:
        return LLVQError(f"The disk is full; free some space beside '{final}' and run the command again")
    return LLVQError(
        f"Cannot write '{final}' ({error.strerror or error}); choose another place for the output"
    )


def require_place(final: Path) -> None:
    """Raise LLVQError unless `final` could be made where it is asked for."""
    existing = Path(os.path.abspath(final)).parent
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        raise explained(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), final)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise explained(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), final)


def require_space(folder: Path, size: int) -> None:
    """Raise LLVQError unless the file system that will hold `folder` has `size` bytes free."""
    existing = Path(os.path.abspath(folder))
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < size:
        raise LLVQError(f"'{folder}' needs {size / 1e6:.0f} MB of disk space, {free / 1e6:.0f} MB are free")


def durable(path: Path, data: bytes) -> None:
    """Write a file that is there completely, even after a loss of power, or not at all."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with open(partial, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, atomically (NaN and infinity are refused)."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    try:
        durable(path, text.encode())
    except OSError as error:
        raise explained(error, path) from error
