"""safetensors files read one tensor at a time.

    8 bytes: length of the header | header: JSON, padded with spaces to a multiple of 8 | the tensors' bytes
    header: {"__metadata__": {...}, NAME: {"dtype": "BF16", "shape": [...], "data_offsets": [begin, end]}, ...}

`Shards` knows every tensor of a folder (one model.safetensors, or the shards that an index names) and reads one at a
time with plain file reads: memory that is mapped would count as resident. The safetensors package checks each header
first. `survey` goes through all bytes once, for the digest and for the first NaN or infinity.

What this file does not do: decide what a tensor means, or write (store.py). The format:
https://github.com/huggingface/safetensors. Tests: ``tests/test_shards.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LLVQError

if TYPE_CHECKING:
    import torch

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_CHUNK = 1 << 24  # bytes hashed and checked at a time
_LARGEST_HEADER = 100 << 20

#: safetensors dtype -> torch dtype
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
FLOATS = ("F16", "BF16", "F32", "F64")


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: safetensors dtype, shape, file, and the byte range within the file."""

    dtype: str
    shape: tuple[int, ...]
    path: Path
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes on the disk."""
        return self.end - self.begin


class Shards(Mapping[str, Entry]):
    """The tensors of a checkpoint folder by name; LLVQError if a file is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._entries: dict[str, Entry] = {}
        for path in _weight_files(folder):
            self._entries.update(read_header(path)[0])

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor in its own dtype, in memory of its own."""
        return read_tensor(self[name])

    def float32(self, name: str) -> torch.Tensor:
        """A floating-point tensor as float32; LLVQError for any other dtype."""
        import torch

        if self[name].dtype not in FLOATS:
            raise LLVQError(
                f"The tensor '{name}' has dtype {self[name].dtype}, expected one of {', '.join(FLOATS)}; "
                "convert the checkpoint to an unquantized one first"
            )
        return self.tensor(name).to(torch.float32)

    def survey(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of all tensors, however they are spread over files.

        LLVQError naming the first floating-point tensor that holds NaN or infinity.
        """
        digest = hashlib.sha256()
        for name in self:
            entry = self[name]
            digest.update(json.dumps([name, entry.dtype, list(entry.shape)]).encode())
            digest.update(self._digest(name, entry))
        return digest.hexdigest()

    def _digest(self, name: str, entry: Entry) -> bytes:
        import torch

        digest = hashlib.sha256()
        with open(entry.path, "rb") as stream:
            for begin in range(entry.begin, entry.end, _CHUNK):
                piece = _read(stream, begin, min(_CHUNK, entry.end - begin), entry.path)
                digest.update(memoryview(piece))
                if entry.dtype in FLOATS:
                    numbers = torch.from_numpy(piece).view(getattr(torch, DTYPES[entry.dtype]))
                    if not bool(torch.isfinite(numbers).all()):
                        raise LLVQError(
                            f"The tensor '{name}' holds NaN or infinity; the checkpoint is damaged or diverged"
                        )
        return digest.digest()


def _weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, as transformers would choose them."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise LLVQError(f"'{folder}' holds no .safetensors file; convert the checkpoint to safetensors first")
    try:
        names = sorted({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LLVQError(f"'{index}' is damaged ({error}); copy it again") from error
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise LLVQError(f"'{folder}' lacks the file '{name}' that its index names; copy it again")
    return [folder / name for name in names]


def read_header(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """(tensors by name, metadata) of one safetensors file;
    the safetensors package vouches for sizes and offsets.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt"):
            pass
        with open(path, "rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if size > _LARGEST_HEADER:
                raise ValueError(f"header of {size} bytes")
            header = json.loads(stream.read(size))
    except (SafetensorError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LLVQError(f"'{path}' is damaged ({reason}); copy it again") from error
    metadata = header.pop("__metadata__", {})
    entries = {
        name: Entry(item["dtype"], tuple(item["shape"]), path, *(8 + size + x for x in item["data_offsets"]))
        for name, item in header.items()
    }
    return entries, metadata


def _read(stream: Any, begin: int, size: int, path: Path) -> Any:
    piece: Any = np.empty(size, dtype=np.uint8)
    stream.seek(begin)
    if stream.readinto(memoryview(piece)) != size:
        raise LLVQError(f"'{path}' ended while it was read; copy it again")
    return piece


def read_tensor(entry: Entry) -> torch.Tensor:
    """One tensor in its own dtype; LLVQError if its dtype is not known here."""
    import torch

    if entry.dtype not in DTYPES:
        raise LLVQError(f"'{entry.path}' holds dtype {entry.dtype}, which is unknown; convert the checkpoint")
    dtype = getattr(torch, DTYPES[entry.dtype])
    if not entry.nbytes:
        return torch.empty(entry.shape, dtype=dtype)
    with open(entry.path, "rb", buffering=0) as stream:
        raw = _read(stream, entry.begin, entry.nbytes, entry.path)
    return torch.from_numpy(raw).view(dtype).reshape(entry.shape)
