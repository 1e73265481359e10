"""safetensors files read one tensor at a time.

`Shards` knows every tensor of a folder (one model.safetensors, or the shards that an index names) and reads one at a
time with plain file reads: memory that is mapped would count as resident. `survey` goes through all bytes once, for
the digest and for the first NaN or infinity.

What this file does not do: parse headers (reading.py), decide what a tensor means, or write (store.py). Tests:
``tests/test_shards.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LLVQError
from .reading import DTYPES, Stored, parse_header, read_tensor

if TYPE_CHECKING:
    import torch

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_CHUNK = 1 << 24  # bytes hashed and checked at a time

FLOATS = ("F16", "BF16", "F32", "F64")


class Shards(Mapping[str, Stored]):
    """The tensors of a checkpoint folder by name; LLVQError if a file is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._entries: dict[str, Stored] = {}
        for path in _weight_files(folder):
            self._entries.update(parse_header(path)[0])

    def __getitem__(self, name: str) -> Stored:
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

    def _digest(self, name: str, entry: Stored) -> bytes:
        import torch

        digest = hashlib.sha256()
        with open(entry.path, "rb") as stream:
            stream.seek(entry.start)
            for done in range(0, entry.size, _CHUNK):
                piece = _read(stream, min(_CHUNK, entry.size - done), entry.path)
                digest.update(memoryview(piece))
                if entry.dtype in FLOATS:
                    numbers = torch.from_numpy(piece).view(getattr(torch, DTYPES[entry.dtype][0]))
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


def _read(stream: Any, size: int, path: Path) -> Any:
    piece: Any = np.empty(size, dtype=np.uint8)
    if stream.readinto(memoryview(piece)) != size:
        raise LLVQError(f"'{path}' ended while it was read; copy it again")
    return piece
