"""What a quantized folder says about itself: the manifest of its files, and the settings in its configuration.

    llvq.json     {"format": "llvq", "version", "files": {name: {"size", "sha256"}}, "checksum" of all this}
    config.json   ["quantization_config"]: {"quant_method": "llvq", "format_version", "usage", "source",
                  "codebooks": [spec, ...], "linears": {name: {"shape", "seed", "codebook", "sha256"}}}

Both are checked completely before anything relies on them: types, signs, ranges, plain file names, known codebooks.

What this file does not do: read weights (store.py). Tests: ``tests/test_store.py``, ``tests/test_hostile.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import rates
from .codebook import Codebook
from .errors import LLVQError
from .files import write_json
from .layer import QuantizedLinear
from .models import MANIFEST
from .reading import file_sha256, read_json
from .rotate import Rotation

FORMAT_VERSION = 2
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
REPORT = "report.json"
CARD = "README.md"
USAGE = "llvq_mini.load(folder), or import llvq_mini.hf before transformers' from_pretrained"

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")
_ENTRY = {"shape": list, "seed": int, "codebook": int, "sha256": str}


def _own_checksum(manifest: Mapping[str, Any]) -> str:
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def linear_sha256(linear: QuantizedLinear) -> str:
    """SHA-256 of everything that decides the weights: shape, seed and codebook as JSON, codes, scales."""
    known = {"shape": list(linear.shape), "seed": linear.seed, "codebook": linear.codebook.spec()}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, separators=(",", ":")).encode())
    digest.update(np.ascontiguousarray(linear.codes).data)
    digest.update(np.ascontiguousarray(linear.row_scale).data)
    return digest.hexdigest()


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a quantized folder, its version and own checksum verified.

    LLVQError for anything that is not as `seal` wrote it.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise LLVQError(
            f"There is no folder '{folder}'; quantize a model into it first (llvq quantize MODEL -o {folder})"
        )
    if not path.is_file():
        raise LLVQError(
            f"'{folder}' holds no {MANIFEST}, so it is not a quantized model; give an output of llvq quantize"
        )
    manifest = read_json(path)
    if not path.read_bytes().endswith(b"}\n"):
        raise LLVQError(f"'{path}' does not end as it was written, it is truncated; quantize again")
    if manifest.get("format") != "llvq":
        raise LLVQError(f"'{path}' does not describe an llvq model; give the output of llvq quantize")
    _check_version(manifest.get("version"), path)
    if manifest.get("checksum") != _own_checksum(manifest):
        raise LLVQError(f"'{path}' fails its own checksum, the file is damaged; quantize again")
    files = manifest.get("files")
    well_formed = isinstance(files, dict) and all(
        isinstance(entry, dict) and type(entry.get("size")) is int and isinstance(entry.get("sha256"), str)
        for entry in files.values()
    )
    if not well_formed or not isinstance(files, dict) or CONFIG not in files:
        raise LLVQError(f"'{path}' is not valid: an entry is missing or of the wrong type; quantize again")
    bad = next((name for name in files if not _PLAIN.fullmatch(name)), None)
    if bad is not None:
        raise LLVQError(f"'{path}' lists {bad[:100]!r}, which is no plain file name; nothing outside is read")
    return manifest


def _check_version(version: Any, path: Path) -> None:
    if version != FORMAT_VERSION or type(version) is not int:
        raise LLVQError(
            f"'{path}' has format version {str(version)[:40]}, this program reads {FORMAT_VERSION}; "
            "update llvq_mini or quantize again"
        )


def read_settings(folder: str | Path) -> dict[str, Any]:
    """The checked `quantization_config` of a folder's config.json.

    LLVQError if it is missing, damaged, or asks for code of its own.
    """
    path = Path(folder) / CONFIG
    config = read_json(path)
    if "auto_map" in config:
        raise LLVQError(
            f"'{path}' asks for code of its own (auto_map), which is never run; remove that entry"
        )
    settings = config.get("quantization_config")
    check_settings(settings, path)
    assert isinstance(settings, dict)
    return settings


def check_settings(settings: Any, path: Path) -> list[Codebook]:
    """The codebooks of a `quantization_config`; LLVQError unless all of its entries are as `save` writes them."""
    if not isinstance(settings, dict) or settings.get("quant_method") != "llvq":
        raise LLVQError(
            f"'{path}' has no quantization_config of method llvq; give an output of llvq quantize"
        )
    _check_version(settings.get("format_version"), path)
    specs, linears = settings.get("codebooks"), settings.get("linears")
    if (
        not isinstance(settings.get("source"), str)
        or not isinstance(specs, list)
        or not isinstance(linears, dict)
    ):
        raise LLVQError(f"'{path}' is not valid: an entry is missing or of the wrong type; quantize again")
    if len(specs) > 256:
        raise LLVQError(f"'{path}' lists {len(specs)} codebooks, more than 256; quantize again")
    for name, entry in linears.items():
        if not _is_entry(entry, len(specs)):
            raise LLVQError(
                f"'{path}' is not valid: the entry of '{name[:200]}' is impossible; quantize again"
            )
    try:
        return [rates.from_spec(spec) for spec in specs]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        message = str(error).splitlines()[0][:200]
        raise LLVQError(f"'{path}' uses a codebook this program does not know ({message})") from error


def _is_entry(entry: Any, codebook_count: int) -> bool:
    """Whether shape, seed, codebook and checksum of a linear are of the right type and in range."""
    if not isinstance(entry, dict) or entry.keys() != _ENTRY.keys():
        return False
    if any(type(entry[key]) is not kind for key, kind in _ENTRY.items()) or len(entry["shape"]) != 2:
        return False
    if not all(type(size) is int and 0 < size < 1 << 31 for size in entry["shape"]):
        return False
    try:
        Rotation(entry["shape"][1], entry["seed"])
    except ValueError:
        return False
    return entry["seed"] < 1 << 63 and 0 <= entry["codebook"] < codebook_count


def seal(folder: Path) -> dict[str, Any]:
    """Write the manifest of a folder as it is now; returns it."""
    listed = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST, REPORT, CARD) and _PLAIN.fullmatch(path.name)
    ]
    manifest: dict[str, Any] = {
        "format": "llvq",
        "version": FORMAT_VERSION,
        "files": {path.name: {"size": path.stat().st_size, "sha256": file_sha256(path)} for path in listed},
    }
    manifest["checksum"] = _own_checksum(manifest)
    write_json(folder / MANIFEST, manifest)
    return manifest
