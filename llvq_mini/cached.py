"""Quantize once, reuse while nothing that matters has changed.

The book and `llvq demo` need the same quantized model again and again. A fingerprint over the source's files,
the settings and the modules that decide the output's bytes is kept in report.json; the folder is used again
if its fingerprint is the one expected now and every checksum holds, and is made anew otherwise. The reason is
always told.

What this file does not do: compare calibration texts other than the embedded one. Tests:
``tests/test_cached.py``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import store
from .errors import LLVQError
from .models import resolve
from .report import add_to_report, provenance, read_report
from .resume import program_fingerprint

if TYPE_CHECKING:
    from .pipeline import Settings, Step


def fingerprint(model: str | Path, settings: Settings) -> str:
    """SHA-256 over the model folder's files, the settings and the program (see resume.py)."""
    digest = hashlib.sha256(json.dumps([asdict(settings), program_fingerprint()], sort_keys=True).encode())
    for path in sorted(path for path in resolve(model).iterdir() if path.is_file()):
        with open(path, "rb") as stream:
            digest.update(path.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def obstacle(out: Path, expected: str) -> str | None:
    """Why the folder `out` cannot be reused, or None if it can."""
    if not out.is_dir():
        return f"there is no folder '{out}' yet"
    try:
        if read_report(out).get("fingerprint") != expected:
            return "the model, the settings or the program have changed"
        store.load(out)
    except LLVQError as error:
        return str(error)
    return None


def quantized(
    model: str | Path,
    out: str | Path,
    settings: Settings | None = None,
    on_step: Step | None = None,
    device: str = "cpu",
) -> tuple[dict[str, Any], str | None]:
    """Make sure that `out` holds the quantized model; returns its report and why it was made anew (None:
    reused). `device` is where codebooks search, with the same bytes (device.py).
    """
    from .pipeline import Settings, quantize

    out, settings = Path(out), settings or Settings()
    expected = fingerprint(model, settings)
    reason = obstacle(out, expected)
    if reason is not None:
        quantize(model, out, settings, force=True, on_step=on_step, device=device)
        add_to_report(out, "provenance", provenance(f"llvq_mini.cached.quantized({str(model)!r}, ...)"))
        add_to_report(out, "fingerprint", expected)
    return read_report(out), reason
