"""The folder of a quantized model, as the ecosystem keeps them, and a reader that cannot read garbage.

    OUT/
      config.json            the source's configuration and in it `quantization_config`: quant_method "llvq", the
                             format version, the codebooks, and for every quantized linear its shape, rotation
                             seed, codebook and SHA-256
      model.safetensors      NAME.weight uint8 (codes, one axis) and NAME.row_scale float16 for every quantized
                             linear, other tensors untouched; or shards of it and model.safetensors.index.json
      llvq.json              the manifest: size and SHA-256 of every file above and below
      tokenizer and generation files, as they were
      report.json, README.md what happened, and how to use the result; not covered by the manifest

The model type stays what it was, so every tool knows the architecture. A loader that does not know this method would
replace unknown weights by random ones, with a warning only; codes are called `weight` and have one axis so that it
stops instead, at a weight of the wrong shape.

Reading verifies in this order: the manifest, which carries a checksum of itself; size and SHA-256 of every file; the
settings; names, dtypes and shapes; every linear's SHA-256, scales and codes. The first disagreement is an LLVQError of
one sentence. Nothing in the folder is executed, and nothing is allocated before the file's size justifies it
(reading.py). Two runs of the same quantization write the same bytes.

What this file does not do: make a model of it (hf.py), or know how to quantize. Tests: ``tests/test_store.py``,
``tests/test_hostile.py``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .codebook import Codebook
from .errors import LLVQError
from .feedback import padded_width
from .files import write_json
from .layer import QuantizedLinear
from .manifest import (
    CONFIG,
    FORMAT_VERSION,
    INDEX,
    MANIFEST,
    USAGE,
    WEIGHTS,
    check_settings,
    linear_sha256,
    read_manifest,
    read_settings,
    seal,
)
from .packed import Decoder
from .reading import Stored, file_sha256, read_header, read_json, read_tensor

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

SHARD_BYTES = 256 << 20
"""Tensor bytes of a shard: what saving keeps in memory."""
_CODES, _SCALE = ".weight", ".row_scale"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A verified folder in memory: the settings, quantized linears by module name, other tensors by name."""

    settings: dict[str, Any]
    linears: dict[str, QuantizedLinear]
    tensors: dict[str, torch.Tensor]


# Writing


def save(
    folder: Path,
    config: Mapping[str, Any],
    linears: Mapping[str, QuantizedLinear],
    tensors: Mapping[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerBase | None,
    source: str,
    copy: Iterable[Path] = (),
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, Any]:
    """Fill an existing empty folder (see `files.atomic_folder`) with a quantized model; returns its manifest.

    config: the source's own.  linears, tensors: may be lazy; each entry is asked for once, in the order of names, and
    one shard is kept in memory.  copy: files to take along as they are.
    LLVQError for a model that brings code of its own.
    """
    if "auto_map" in config:
        raise LLVQError(f"The model '{source}' brings code of its own (auto_map), which is never run")
    specs: list[dict[str, Any]] = []
    entries: dict[str, dict[str, Any]] = {}

    def stored() -> Iterator[tuple[str, torch.Tensor]]:
        import torch

        untouched = set(tensors)  # a lazy mapping would read a tensor to say whether it has it
        for name in sorted([*linears, *tensors]):
            if name in untouched:
                yield name, tensors[name].contiguous()
                continue
            linear = linears[name]
            spec = linear.codebook.spec()
            if spec not in specs:
                specs.append(spec)
            entries[name] = {
                "shape": list(linear.shape),
                "seed": linear.seed,
                "codebook": specs.index(spec),
                "sha256": linear_sha256(linear),
            }
            yield name + _CODES, torch.from_numpy(linear.codes)
            yield name + _SCALE, torch.from_numpy(linear.row_scale)

    write_shards(folder, stored(), shard_bytes)
    settings = {
        "quant_method": "llvq",
        "format_version": FORMAT_VERSION,
        "usage": USAGE,
        "source": source,
        "codebooks": specs,
        "linears": entries,
    }
    write_json(folder / CONFIG, {**config, "quantization_config": settings})
    for path in copy:
        shutil.copyfile(path, folder / path.name)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return seal(folder)


def write_shards(folder: Path, stored: Iterator[tuple[str, torch.Tensor]], shard_bytes: int) -> None:
    """Tensors to safetensors files of about `shard_bytes` each, and their index if there are several.

    ValueError for a name that comes twice.
    """
    from safetensors.torch import save_file

    shards: list[list[str]] = []
    current: dict[str, torch.Tensor] = {}
    total = size = 0

    def flush() -> None:
        # one entry of metadata only: safetensors writes several in random order, and equal runs give equal bytes
        save_file(current, folder / f".shard-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(current))
        current.clear()

    for name, tensor in stored:
        if name in current or any(name in shard for shard in shards):
            raise ValueError(f"Argument 'tensors' must not hold '{name}', a quantized linear has that name")
        if current and size + tensor.nbytes > shard_bytes:
            flush()
            size = 0
        current[name] = tensor
        size += tensor.nbytes
        total += tensor.nbytes
    flush()
    if len(shards) == 1:
        os.replace(folder / ".shard-0", folder / WEIGHTS)
        return
    places = {}
    for number, names in enumerate(shards):
        final = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        os.replace(folder / f".shard-{number}", folder / final)
        places.update(dict.fromkeys(names, final))
    write_json(
        folder / INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    )


# Reading


def verify(folder: str | Path) -> dict[str, Any]:
    """Compare every file with the manifest and check the settings; returns them. LLVQError at the first difference."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise LLVQError(f"'{folder}' lacks the file {name} that its manifest lists; quantize again")
        size = path.stat().st_size
        if size != expected["size"]:
            raise LLVQError(
                f"'{path}' has {size} bytes instead of {expected['size']}: it is truncated or overwritten"
            )
        if file_sha256(path) != expected["sha256"]:
            raise LLVQError(
                f"'{path}' differs from its SHA-256 in the manifest{_damaged_linear(folder, name)}: "
                "it was changed or damaged; quantize again"
            )
    settings = read_settings(folder)
    for path in {entry.path for entry in weight_entries(folder).values()} - {
        folder / n for n in manifest["files"]
    }:
        raise LLVQError(f"'{path}' is not listed in the manifest; quantize again")
    return settings


def _damaged_linear(folder: Path, name: str) -> str:
    """Which linear of a damaged weights file fails its checksum, as words for a message; nothing if none is found."""
    if not name.endswith(".safetensors"):
        return ""
    try:
        header, settings = read_header(folder / name), read_settings(folder)
        books = check_settings(settings, folder / CONFIG)
        for linear, entry in settings["linears"].items():
            places = header.get(linear + _CODES), header.get(linear + _SCALE)
            if all(places):
                codes, scale = (read_tensor(place).numpy() for place in places if place)
                made = QuantizedLinear(
                    codes, scale, tuple(entry["shape"]), entry["seed"], books[entry["codebook"]]
                )
                if linear_sha256(made) != entry["sha256"]:
                    return f", the linear '{linear}' fails its own"
    except LLVQError as error:
        return f" ({error})"
    return ""


def weight_entries(folder: Path) -> dict[str, Stored]:
    """Where every tensor of the folder lies, from the headers of its weight files.

    LLVQError if headers and index disagree.
    """
    if not (folder / INDEX).is_file():
        return read_header(folder / WEIGHTS)
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise LLVQError(f"'{folder / INDEX}' has no weight_map; it is damaged")
    entries: dict[str, Stored] = {}
    for shard in sorted({str(place) for place in places.values()}):
        if not _SHARD.fullmatch(shard):
            raise LLVQError(
                f"'{folder / INDEX}' names the shard {shard[:100]!r}, which is no plain shard name"
            )
        for name, entry in read_header(folder / shard).items():
            if places.get(name) != shard or name in entries:
                raise LLVQError(f"The tensor '{name}' in '{folder / shard}' is not where the index says")
            entries[name] = entry
    missing = sorted(places.keys() - entries.keys())
    if missing:
        raise LLVQError(f"'{folder}' lacks the tensor '{missing[0]}' that its index lists")
    return entries


def checked_linear(
    name: str, entry: Mapping[str, Any], book: Codebook, codes: np.ndarray | None, scale: np.ndarray | None
) -> QuantizedLinear:
    """The linear of these codes and scales; LLVQError unless they are those of the entry, checksum and values too."""
    rows, width = entry["shape"]
    if codes is None or scale is None:
        raise LLVQError(
            f"The linear '{name}' lacks its tensor '{_CODES[1:] if codes is None else _SCALE[1:]}'"
        )
    blocks = rows * (padded_width(width, book.dim) // book.dim)
    fitting = codes.dtype == np.uint8 and codes.shape == (-(-blocks * book.bits // 8),)
    if not fitting or scale.dtype != np.float16 or scale.shape != (rows,):
        raise LLVQError(f"The tensors of '{name}' do not fit its shape {rows} x {width}; quantize again")
    linear = QuantizedLinear(codes, scale, (rows, width), entry["seed"], book)
    if linear_sha256(linear) != entry["sha256"]:
        raise LLVQError(f"The linear '{name}' fails its SHA-256, the file is damaged; quantize again")
    if not np.isfinite(scale).all():
        raise LLVQError(f"The row scales of '{name}' are not all finite; quantize again")
    try:
        Decoder(book).check(codes, blocks)
    except ValueError as error:
        raise LLVQError(f"The codes of '{name}' lie outside its codebook; quantize again") from error
    return linear


def load(folder: str | Path) -> Checkpoint:
    """Read and verify a quantized folder completely; LLVQError on the first thing that is not as it was written."""
    import torch

    folder = Path(folder)
    settings = verify(folder)
    books = check_settings(settings, folder / CONFIG)
    stored = weight_entries(folder)
    linears = {}
    for name, entry in settings["linears"].items():
        places = stored.pop(name + _CODES, None), stored.pop(name + _SCALE, None)
        codes, scale = (None if place is None else read_tensor(place).numpy() for place in places)
        linears[name] = checked_linear(name, entry, books[entry["codebook"]], codes, scale)
    tensors = {name: read_tensor(place) for name, place in stored.items()}
    for name, tensor in tensors.items():
        if (
            tensor.is_floating_point()
            and tensor.numel()
            and not bool(torch.stack(tensor.aminmax()).isfinite().all())
        ):
            raise LLVQError(
                f"The tensor '{name}' holds NaN or infinity; the checkpoint is damaged or diverged"
            )
    return Checkpoint(settings, linears, tensors)


def measured_bits(folder: str | Path) -> dict[str, float | int]:
    """Bits a quantized weight on the disk: codes, scales, and all metadata
    (headers, index, configuration, manifest).
    """
    folder = Path(folder)
    settings = read_settings(folder)
    linears, stored = settings["linears"], weight_entries(folder)
    weights = sum(entry["shape"][0] * entry["shape"][1] for entry in linears.values())
    codes = sum(stored[name + _CODES].size for name in linears)
    scales = sum(stored[name + _SCALE].size for name in linears)
    headers = sum(path.stat().st_size for path in {entry.path for entry in stored.values()})
    headers -= sum(entry.size for entry in stored.values())
    tables = sum(
        (folder / name).stat().st_size for name in (CONFIG, INDEX, MANIFEST) if (folder / name).is_file()
    )
    return {
        "weights": weights,
        "code_bytes": codes,
        "scale_bytes": scales,
        "metadata_bytes": headers + tables,
        "bits_per_weight": 8 * (codes + scales + headers + tables) / weights,
    }
