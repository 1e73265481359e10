"""Reading files that may lie: JSON and safetensors headers, bounded and checked before anything is allocated.

    read_json(path)       an object of at most 16 MiB, no key twice, no NaN
    parse_header(path)    what a safetensors file says it holds:  8 bytes, little-endian length of the header |
                          header, JSON {name: {dtype, shape, data_offsets}, ...} | tensor data without gaps
    read_header(path)     the same for quantized folders, whose headers and dtypes are bounded further
    read_tensor(entry)    the tensor itself, never more bytes than the file has

Everything a file claims is compared with the file's own size first, so that a few hostile bytes cannot ask for
gigabytes: parsing takes at most about 30 bytes of memory a byte of JSON, under 512 MiB in quantized folders, and
tensors take what they take on the disk. Checkpoints to quantize (shards.py) may have headers of 100 MB and 8-bit
floats. Whatever is wrong is an LLVQError that names the file.

What this file does not do: checksums and the meaning of names (store.py).
Format: https://huggingface.co/docs/safetensors. Tests: ``tests/test_store.py``, ``tests/test_hostile.py``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LLVQError

if TYPE_CHECKING:
    import torch

LARGEST_HEADER = 100 << 20
"""Bytes of the largest safetensors header, as in the reference implementation."""
LARGEST_JSON = 16 << 20
"""Bytes of the largest JSON that is read: a thousand times the tables of a 1 B model."""

DTYPES = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "F32": ("float32", 4),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
    "F64": ("float64", 8),
}
"""safetensors dtype -> torch dtype and bytes; others are refused."""
QUANTIZED = frozenset(DTYPES) - {"F8_E5M2", "F8_E4M3"}
"""The dtypes in quantized folders."""


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies: file, safetensors dtype, shape, first byte in the file and number of bytes."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a key occurs twice")
    return entries


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def parse_json(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON object in `data`; LLVQError if it is anything else, has a key twice or NaN in it."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise LLVQError(f"'{path}' is not valid JSON ({_short(error)}), the file is damaged") from error
    if not isinstance(value, dict):
        raise LLVQError(f"'{path}' is not a JSON object, the file is damaged")
    return value


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of at most LARGEST_JSON bytes; LLVQError otherwise."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise LLVQError(f"'{path}' is not a file")
        if size > LARGEST_JSON:
            raise LLVQError(
                f"'{path}' has {size} bytes, more than the {LARGEST_JSON >> 20} MiB that are read"
            )
        return parse_json(path.read_bytes(), path)
    except OSError as error:
        raise LLVQError(f"'{path}' cannot be read ({error.strerror or error})") from error


def parse_header(
    path: Path, largest: int = LARGEST_HEADER, dtypes: Collection[str] = frozenset(DTYPES)
) -> tuple[dict[str, Stored], dict[str, str]]:
    """What a safetensors file holds, by tensor name, and its metadata; LLVQError unless the entries fill the file
    exactly, the header has at most `largest` bytes, and all dtypes are among `dtypes`.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise LLVQError(f"'{path}' is not a file")
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or not 0 < length <= min(largest, size - 8):
                raise LLVQError(f"'{path}' is not a safetensors file: its header does not fit; it is damaged")
            header = parse_json(stream.read(length), path)
    except OSError as error:
        raise LLVQError(f"'{path}' cannot be read ({error.strerror or error})") from error
    metadata = header.pop("__metadata__", {})
    entries = {name: _entry(path, name, entry, 8 + length, dtypes) for name, entry in header.items()}
    at = 8 + length
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].size)):
        if entry.start != at:
            raise LLVQError(
                f"The tensor '{name}' in '{path}' overlaps another or leaves a gap; it is damaged"
            )
        at += entry.size
    if at != size:
        raise LLVQError(f"'{path}' has {size} bytes, its header describes {at}; it is truncated or damaged")
    return entries, metadata if isinstance(metadata, dict) else {}


def _entry(path: Path, name: str, entry: Any, data: int, dtypes: Collection[str]) -> Stored:
    problem = LLVQError(f"The tensor '{name}' in '{path}' has an impossible header; the file is damaged")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise problem
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in dtypes:
        raise LLVQError(f"The tensor '{name}' in '{path}' has dtype {kind!r}, which is not supported")
    lists = [numbers for numbers in (shape, offsets) if isinstance(numbers, list)]
    if len(lists) != 2 or len(offsets) != 2 or len(shape) > 8:
        raise problem
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in [*shape, *offsets]):
        raise problem
    if offsets[1] - offsets[0] != math.prod(shape) * DTYPES[kind][1]:
        raise problem
    return Stored(path, kind, tuple(shape), data + offsets[0], offsets[1] - offsets[0])


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of one file of a quantized folder by name."""
    return parse_header(path, LARGEST_JSON, QUANTIZED)[0]


def read_tensor(entry: Stored) -> torch.Tensor:
    """The tensor that a header describes, in memory of its own.

    LLVQError if the file ends too early or cannot be read.
    """
    import torch

    try:
        data = np.fromfile(entry.path, dtype=np.uint8, count=entry.size, offset=entry.start)
    except OSError as error:
        raise LLVQError(f"'{entry.path}' cannot be read ({error.strerror or error})") from error
    if data.size != entry.size:
        raise LLVQError(f"'{entry.path}' ends too early; it is truncated")
    dtype = getattr(torch, DTYPES[entry.dtype][0])
    if not entry.size:  # no view changes the element size of nothing
        return torch.empty(entry.shape, dtype=dtype)
    return torch.from_numpy(data).view(dtype).reshape(entry.shape)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits; LLVQError if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise LLVQError(f"'{path}' cannot be read ({error.strerror or error})") from error
