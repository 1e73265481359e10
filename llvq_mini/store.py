"""The folder of a quantized model, and a loader that cannot load garbage.

    OUT/
      config.json            the source's configuration, with a `quantization_config` that names this format, and
                             a model type that transformers alone does not know: it ignores unknown
                             quantization methods and would otherwise answer with random weights
      model.safetensors      NAME.codes uint8 and NAME.row_scale float16 for every quantized linear;
                             other tensors untouched
      llvq.json              the manifest: format version, codebook, shapes, seeds, and a SHA-256 of
                             every tensor and file
      tokenizer files        as they were
      report.json            what happened and how long it took; not covered by the manifest

The manifest carries a checksum of itself. Loading verifies, in this order: the manifest, the size and SHA-256
of every file, names, dtypes, shapes and SHA-256 of every tensor; the first disagreement is an LLVQError of
one sentence. Nothing in the folder is executed. Two runs of the same quantization write the same bytes.

What this file does not do: shard, stream, or know how to quantize. Tests: ``tests/test_store.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import codebook as codebooks
from .errors import LLVQError
from .feedback import padded_width
from .files import write_json
from .layer import QuantizedLinear
from .models import MANIFEST, load_tokenizer, quiet

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
REPORT = "report.json"
_LARGEST_MANIFEST = 256 << 20
_CODES, _SCALE = ".codes", ".row_scale"


@dataclass(frozen=True)
class Checkpoint:
    """A verified folder in memory:
    quantized linears by module name, and the other tensors by parameter name.
    """

    manifest: dict[str, Any]
    linears: dict[str, QuantizedLinear]
    tensors: dict[str, torch.Tensor]


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _file_sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _raw(tensor: torch.Tensor) -> Any:
    """The bytes of a contiguous tensor of any dtype."""
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy()


def _own_checksum(manifest: Mapping[str, Any]) -> str:
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    return _sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def save(
    folder: Path,
    config: dict[str, Any],
    linears: Mapping[str, QuantizedLinear],
    tensors: Mapping[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerBase,
    source: str,
) -> dict[str, Any]:
    """Fill an existing empty folder (see `files.atomic_folder`) with a quantized model;
    returns its manifest.
    """
    import torch
    from safetensors.torch import save_file

    stored: dict[str, torch.Tensor] = {name: tensor.contiguous() for name, tensor in tensors.items()}
    for name, linear in linears.items():
        stored[name + _CODES] = torch.from_numpy(linear.codes)
        stored[name + _SCALE] = torch.from_numpy(linear.row_scale)
    # one entry of metadata only: safetensors writes several in random order, and equal runs must give equal bytes
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    spec = next(iter(linears.values())).codebook.spec()
    kind = config["model_type"]
    settings = {
        "quant_method": "llvq",
        "format_version": FORMAT_VERSION,
        "base_model_type": kind,
        "codebook": spec,
    }
    quantized_config = {**config, "model_type": f"llvq_{kind}", "quantization_config": settings}
    write_json(folder / "config.json", quantized_config)
    tokenizer.save_pretrained(folder)
    manifest: dict[str, Any] = {
        "format": "llvq",
        "version": FORMAT_VERSION,
        "source": source,
        "codebook": spec,
        "linears": {name: {"shape": list(q.shape), "seed": q.seed} for name, q in sorted(linears.items())},
        "tensors": {
            name: {"dtype": _dtype_name(t), "shape": list(t.shape), "sha256": _sha256(_raw(t))}
            for name, t in sorted(stored.items())
        },
        "files": {
            path.name: {"size": path.stat().st_size, "sha256": _file_sha256(path)}
            for path in sorted(folder.iterdir())
        },
    }
    manifest["checksum"] = _own_checksum(manifest)
    write_json(folder / MANIFEST, manifest)
    return manifest


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a quantized folder, its version and own checksum verified."""
    path = Path(folder) / MANIFEST
    if not Path(folder).is_dir():
        raise LLVQError(
            f"There is no folder '{folder}'; quantize a model into it first (llvq quantize MODEL -o {folder})"
        )
    if not path.is_file():
        raise LLVQError(
            f"'{folder}' holds no {MANIFEST}, so it is not a quantized model; give an output of llvq quantize"
        )
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise LLVQError(
            f"'{path}' is larger than {_LARGEST_MANIFEST >> 20} MiB, which no manifest is; quantize again"
        )
    data = path.read_bytes()
    if not data.endswith(b"}\n"):
        raise LLVQError(f"'{path}' does not end as it was written, it is truncated; quantize again")
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LLVQError(f"'{path}' is not valid JSON, the file is damaged; quantize again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "llvq":
        raise LLVQError(f"'{path}' does not describe an llvq model; give the output of llvq quantize")
    if manifest.get("version") != FORMAT_VERSION:
        raise LLVQError(
            f"'{path}' has format version {manifest.get('version')}, this program reads {FORMAT_VERSION}; "
            "update llvq_mini"
        )
    if manifest.get("checksum") != _own_checksum(manifest):
        raise LLVQError(f"'{path}' fails its own checksum, the file is damaged; quantize again")
    if not _well_formed(manifest):
        raise LLVQError(f"'{path}' is not valid: an entry is missing or of the wrong type; quantize again")
    return manifest


def _well_formed(manifest: Mapping[str, Any]) -> bool:
    """Whether the entries that loading relies on are there, with the right types and signs."""

    def table(key: str, **kinds: type) -> bool:
        entries = manifest.get(key)
        return isinstance(entries, dict) and all(
            isinstance(entry, dict) and all(type(entry.get(name)) is kind for name, kind in kinds.items())
            for entry in entries.values()
        )

    if not (
        isinstance(manifest.get("source"), str)
        and isinstance(manifest.get("codebook"), dict)
        and table("files", size=int, sha256=str)
        and table("tensors", dtype=str, shape=list, sha256=str)
        and table("linears", shape=list, seed=int)
        and WEIGHTS in manifest["files"]
    ):
        return False
    return all(
        len(entry["shape"]) == 2
        and all(type(size) is int and 0 < size < 1 << 31 for size in entry["shape"])
        and 0 <= entry["seed"] < 1 << 64
        and {name + _CODES, name + _SCALE} <= manifest["tensors"].keys()
        for name, entry in manifest["linears"].items()
    )


def _verify_file(folder: Path, name: str, expected: Mapping[str, Any]) -> None:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise LLVQError(f"'{folder}' lacks the file {name} that its manifest lists; quantize again")
    size = path.stat().st_size
    if size != expected["size"]:
        raise LLVQError(
            f"'{path}' has {size} bytes instead of {expected['size']}: it is truncated or overwritten"
        )
    if name != WEIGHTS and _file_sha256(path) != expected["sha256"]:
        raise LLVQError(f"'{path}' differs from its SHA-256 in the manifest: it was changed or damaged")


def _verified_tensors(folder: Path, manifest: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """All tensors of the weights file, each compared with the manifest; damage is reported by tensor name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise LLVQError(
            f"'{path}' is not a readable safetensors file, it is damaged; quantize again"
        ) from error
    expected = manifest["tensors"]
    different = sorted(tensors.keys() ^ expected.keys())
    if different:
        kind = "lacks" if different[0] in expected else "holds the unexpected"
        raise LLVQError(f"'{path}' {kind} tensor '{different[0]}'; quantize again")
    for name, tensor in tensors.items():
        entry = expected[name]
        if [_dtype_name(tensor), list(tensor.shape)] != [entry["dtype"], entry["shape"]]:
            raise LLVQError(
                f"The tensor '{name}' in '{path}' is {_dtype_name(tensor)} {list(tensor.shape)}, "
                f"the manifest says {entry['dtype']} {entry['shape']}; quantize again"
            )
        if _sha256(_raw(tensor)) != entry["sha256"]:
            raise LLVQError(
                f"The tensor '{name}' in '{path}' fails its SHA-256, the file is damaged; quantize again"
            )
    if _file_sha256(path) != manifest["files"][WEIGHTS]["sha256"]:
        raise LLVQError(f"The header of '{path}' fails its SHA-256, the file is damaged; quantize again")
    return tensors


def _linear(
    name: str, entry: Mapping[str, Any], book: Any, tensors: dict[str, torch.Tensor]
) -> QuantizedLinear:
    rows, width = entry["shape"]
    codes = tensors.pop(name + _CODES).numpy()
    scale = tensors.pop(name + _SCALE).numpy()
    blocks = rows * (padded_width(width, book.dim) // book.dim)
    if codes.dtype != np.uint8 or codes.size != -(-blocks * book.bits // 8) or scale.shape != (rows,):
        raise LLVQError(f"The codes of '{name}' do not fit its shape {rows} x {width}; quantize again")
    return QuantizedLinear(codes, scale, (rows, width), entry["seed"], book)


def load(folder: str | Path) -> Checkpoint:
    """Read and verify a quantized folder completely;
    LLVQError on the first thing that is not as it was written.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        _verify_file(folder, name, expected)
    tensors = _verified_tensors(folder, manifest)
    try:
        book = codebooks.from_spec(manifest["codebook"])
    except (ValueError, KeyError, TypeError) as error:
        raise LLVQError(
            f"'{folder}' uses a codebook this program does not know ({error}); update llvq_mini"
        ) from error
    linears = {name: _linear(name, entry, book, tensors) for name, entry in manifest["linears"].items()}
    return Checkpoint(manifest, linears, tensors)


def dense_state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """A complete float32 state dict: quantized linears expanded, the rest converted."""
    import torch

    state = {name: tensor.to(torch.float32) for name, tensor in checkpoint.tensors.items()}
    for name, linear in checkpoint.linears.items():
        state[f"{name}.weight"] = torch.from_numpy(linear.dequantize())
    return state


def load_model(folder: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A verified quantized folder as a dense float32 transformers model in evaluation mode,
    and its tokenizer.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    folder = Path(folder)
    checkpoint = load(folder)
    settings = json.loads((folder / "config.json").read_bytes())
    settings["model_type"] = settings.pop("quantization_config")["base_model_type"]
    config = transformers.AutoConfig.for_model(**{**settings, "dtype": "float32"})
    loader: Any = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[settings["model_type"]])
    with quiet():
        loading = loader.from_pretrained(
            None, config=config, state_dict=dense_state(checkpoint), output_loading_info=True
        )
    model, info = loading
    missing = [
        name for name in info["missing_keys"] if not (config.tie_word_embeddings and name == "lm_head.weight")
    ]
    if missing or info["unexpected_keys"] or info["mismatched_keys"]:
        problem = [*missing, *info["unexpected_keys"], *info["mismatched_keys"]][0]
        raise LLVQError(
            f"The tensor '{problem}' does not fit the configuration in '{folder}'; quantize again"
        )
    return model.eval(), load_tokenizer(folder)


def measured_bits(folder: str | Path) -> dict[str, float | int]:
    """Bits a quantized weight on the disk:
    codes, scales, and all metadata (safetensors header and manifest).
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    weights = sum(entry["shape"][0] * entry["shape"][1] for entry in manifest["linears"].values())
    sizes = {_CODES: 0, _SCALE: 0}
    with open(folder / WEIGHTS, "rb") as stream:
        header_size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(header_size))
    for name, entry in header.items():
        for suffix in sizes:
            if name.endswith(suffix):
                begin, end = entry["data_offsets"]
                sizes[suffix] += end - begin
    metadata = 8 + header_size + (folder / MANIFEST).stat().st_size
    total = 8 * (sizes[_CODES] + sizes[_SCALE] + metadata)
    return {
        "weights": weights,
        "code_bytes": sizes[_CODES],
        "scale_bytes": sizes[_SCALE],
        "metadata_bytes": metadata,
        "bits_per_weight": total / weights,
    }
