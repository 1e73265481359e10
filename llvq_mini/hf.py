"""Quantized models in Hugging Face's transformers, and `load`, the front door.

    import llvq_mini
    model, tokenizer = llvq_mini.load("OUT")  # or a Hub id

    import llvq_mini.hf  # registers the method "llvq"
    model = AutoModelForCausalLM.from_pretrained("OUT")  # weights stay packed

Importing this module registers a configuration and a quantizer. Before weights are loaded the quantizer puts a
LeechLinear in the place of every quantized linear, on the meta device; afterwards it compares every linear with its
SHA-256. transformers itself fills what a file lacks with random numbers and says so in a warning; here names and shapes
of all tensors are compared with the model first, and anything missing, unexpected or of another shape is an LLVQError.
A folder with a manifest is verified against it. `save_pretrained` of a loaded model writes a manifest too.

`load` adds what a loader by name cannot know: it insists on the manifest, reads no pickle, runs no code of the
checkpoint, bounds what a hostile configuration may allocate, and turns whatever transformers raises into an LLVQError.

What this file does not do: quantize, or train. Tests: ``tests/test_hf.py``, ``tests/test_hostile.py``.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from . import manifest, store
from .errors import LLVQError
from .linear import LeechLinear, cache_all, dequantize_all, leech_linears
from .models import fetch, first_line, load_tokenizer, quiet
from .reading import Stored, read_header, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODES = ("packed", "cached", "dense")
LARGEST_BUFFERS = 256 << 20
"""Bytes of buffers that a model may have beyond its file's tensors (position tables and the like)."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@register_quantization_config("llvq")
class LLVQConfig(QuantizationConfigMixin):
    """The `quantization_config` of a quantized model; LLVQError unless it is one that `store.save` writes."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("quant_method", "llvq")
        self.books = manifest.check_settings(settings, Path("quantization_config"))
        self._settings = settings
        self.quant_method: Any = "llvq"

    @property
    def linears(self) -> dict[str, dict[str, Any]]:
        """Shape, seed, codebook and checksum of every quantized linear."""
        return dict(self._settings["linears"])

    def to_dict(self) -> dict[str, Any]:
        """What config.json holds."""
        return dict(self._settings)

    def to_diff_dict(self) -> dict[str, Any]:
        """The same: there are no defaults."""
        return self.to_dict()


@register_quantizer("llvq")
class LLVQQuantizer(HfQuantizer):
    """Loads and saves packed weights; transformers makes one for every from_pretrained."""

    requires_calibration = True  # quantizing is the pipeline's: this one refuses unquantized checkpoints
    quantization_config: LLVQConfig

    def _process_model_before_weight_loading(
        self, model: PreTrainedModel, checkpoint_files: list[str] | None = None, **kwargs: Any
    ) -> None:
        files = [Path(file) for file in checkpoint_files or []]
        if files and (files[0].parent / manifest.MANIFEST).is_file():
            store.verify(files[0].parent)
        entries = self.quantization_config.linears
        for name, entry in entries.items():
            path = _located(model, name)
            linear = model.get_submodule(path)
            rows, width = entry["shape"]
            if not isinstance(linear, nn.Linear) or linear.weight.shape != (rows, width):
                raise LLVQError(
                    f"The module '{path}' of this model is no {rows} x {width} linear; wrong configuration"
                )
            book = self.quantization_config.books[entry["codebook"]]
            dtype = kwargs.get("dtype")
            packed = LeechLinear(width, rows, book, entry["seed"], linear.bias is not None, dtype)
            model.set_submodule(path, packed)
        if files and _is_saved_class(model):
            _check_tensors(model, {name: at for file in files for name, at in read_header(file).items()})

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **kwargs: Any) -> PreTrainedModel:
        for name, entry in self.quantization_config.linears.items():
            module = model.get_submodule(_located(model, name))
            book = self.quantization_config.books[entry["codebook"]]
            assert isinstance(module, LeechLinear)
            codes, scale = module.weight.cpu().numpy(), module.row_scale.cpu().numpy()
            store.checked_linear(name, entry, book, codes, scale)
            module.settle()
        for name, tensor in _outside(model):
            if tensor.numel() and not bool(torch.stack(tensor.aminmax()).isfinite().all()):
                raise LLVQError(
                    f"The tensor '{name}' holds NaN or infinity; the checkpoint is damaged or diverged"
                )
        setattr(model, "save_pretrained", types.MethodType(_save_pretrained, model))  # noqa: B010
        return model

    def _dequantize(self, model: PreTrainedModel, dtype: torch.dtype | None = None) -> PreTrainedModel:
        dequantize_all(model, dtype or model.dtype)
        model.__dict__.pop("save_pretrained", None)
        return model

    def is_serializable(self) -> bool:
        """Yes: codes are saved as they were loaded."""
        return True

    @property
    def is_trainable(self) -> bool:
        """No: codes have no derivative."""
        return False

    @property
    def is_compileable(self) -> bool:
        """Yes: a packed product is one operator."""
        return True


def _save_pretrained(
    model: PreTrainedModel, save_directory: str | Path, *arguments: Any, **options: Any
) -> None:
    """The model class's own save_pretrained, and then the manifest."""
    if options.get("push_to_hub"):
        raise ValueError("Argument 'push_to_hub' must be left out here; call model.push_to_hub(name) instead")
    type(model).save_pretrained(model, save_directory, *arguments, **options)
    store.seal(Path(save_directory))


def _located(model: PreTrainedModel, name: str) -> str:
    """The path of a module by its name in the checkpoint, which may have the base model's prefix or lack it."""
    prefix = model.base_model_prefix + "."
    for path in (name, name.removeprefix(prefix), prefix + name):
        try:
            model.get_submodule(path)
        except AttributeError:
            continue
        return path
    raise LLVQError(
        f"This {type(model).__name__} has no module '{name}'; the configuration does not fit the file"
    )


def _is_saved_class(model: PreTrainedModel) -> bool:
    """Whether the file was made for this class; another head may well start from random numbers."""
    named = model.config.architectures
    return not named or type(model).__name__ in named


def _check_tensors(model: PreTrainedModel, stored: Mapping[str, Stored]) -> None:
    """LLVQError unless the file holds exactly the model's tensors, and little is allocated beside them."""
    expected = dict(model.state_dict())
    tied = set(getattr(model, "all_tied_weights_keys", {}))
    for name, tensor in expected.items():
        if name not in stored and name not in tied:
            raise LLVQError(
                f"The checkpoint lacks the tensor '{name}'; it is incomplete or for another model"
            )
        if name in stored and stored[name].shape != tuple(tensor.shape):
            raise LLVQError(
                f"The tensor '{name}' has shape {list(stored[name].shape)} in the checkpoint, "
                f"{list(tensor.shape)} in the model; the configuration does not fit the file"
            )
    strangers = sorted(stored.keys() - expected.keys())
    if strangers:
        raise LLVQError(
            f"The checkpoint holds the unexpected tensor '{strangers[0]}'; it is for another model"
        )
    buffers = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in expected)
    if buffers > LARGEST_BUFFERS:
        raise LLVQError(f"This configuration needs {buffers} bytes of buffers, more than {LARGEST_BUFFERS}")


def _outside(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Floating tensors that are not part of a packed linear."""
    packed = {f"{name}.row_scale" for name in leech_linears(model)}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and name not in packed:
            yield name, tensor


def _check_counts(value: Any, most: int, where: str = "config.json") -> None:
    """LLVQError for numbers of layers, experts or blocks above the number of tensors, and for absurd integers."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        if isinstance(item, dict | list):
            _check_counts(item, most, where)
        elif isinstance(item, int) and not isinstance(item, bool):
            counted = isinstance(key, str) and re.search("layer|expert|block", key)
            if abs(item) > (most if counted else 1 << 40):
                raise LLVQError(
                    f"The entry '{key}' of '{where}' is {item:.3g}, which no model in this file has"
                )


def local_folder(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a quantized model: a local one, or a snapshot of a Hub repository. LLVQError without either."""
    folder = Path(name)
    if folder.is_dir() or not _HUB_ID.fullmatch(str(name)):
        return folder
    return fetch(str(name), revision)


def load(
    name: str | Path,
    mode: str = "packed",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A verified quantized model in evaluation mode and its tokenizer.

    name: a folder, or a Hub id.  mode: "packed" (weights stay in their codes), "cached" (dense weights beside the
    codes), "dense" (an ordinary model).  dtype: of everything that is not packed.
    LLVQError for whatever is wrong with the files, ValueError for a wrong mode.
    """
    if mode not in MODES:
        raise ValueError(f"Argument 'mode' must be one of {MODES}, got {mode!r}")
    folder = local_folder(name, revision)
    manifest.read_manifest(folder)
    manifest.read_settings(folder)
    _check_counts(read_json(folder / manifest.CONFIG), len(store.weight_entries(folder)))
    if (folder / "adapter_config.json").exists():
        raise LLVQError(f"'{folder}' holds an adapter_config.json, which would load another model; remove it")
    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
    except LLVQError:
        raise
    except Exception as error:  # a configuration that lies makes transformers raise anything
        raise LLVQError(f"The model in '{folder}' cannot be built ({first_line(error)})") from error
    if not leech_linears(model):
        raise LLVQError(
            f"'{folder}' came back without packed weights; transformers did not use this quantizer"
        )
    if mode == "cached":
        cache_all(model, dtype)
    elif mode == "dense":
        model = model.dequantize(dtype=dtype)
    return model.eval(), load_tokenizer(folder)
