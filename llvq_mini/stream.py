"""A source model whose weights stay on the disk until their turn comes.

The transformers class is built with every parameter on PyTorch's meta device: shapes, no memory. Buffers that a
checkpoint does not hold (rotary frequencies, embedding scales) are computed as always. `loaded` fills one module with
float32 weights from the safetensors files and empties it again, so that resident memory is about one decoder layer
(or the token embedding, while the first hidden states are made), whatever the size of the model.

Building on meta: parameters of torch.nn and transformers come from `torch.empty`, which is diverted while the
constructor runs; the few made otherwise (ones and zeros of norms) are moved afterwards.

A checkpoint must name its tensors as the transformers class does. The few that transformers renames or fuses while it
loads (GPT-NeoX's head, Mixtral's experts) are refused.

What this file does not do: know which linears matter (anatomy.py), or load whole models (models.py).
Tests: ``tests/test_models.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .anatomy import decoder_layers, linears_of, skipped
from .errors import LLVQError
from .models import first_line, load_tokenizer, quiet, read_config, resolve
from .shards import FLOATS, Shards

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def _names_on_disk(model: PreTrainedModel, shards: Shards) -> dict[str, str]:
    """Parameter and buffer names -> names in the checkpoint; tied parameters may lie there under any of theirs."""
    aliases: dict[int, list[str]] = {}
    tensors: dict[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
    persistent = model.state_dict(keep_vars=True)
    tensors.update({name: buffer for name, buffer in model.named_buffers() if name in persistent})
    for name, tensor in tensors.items():
        aliases.setdefault(id(tensor), []).append(name)
    names = {}
    for group in aliases.values():
        there = [name for name in group if name in shards]
        if not there:
            raise LLVQError(
                f"The checkpoint in '{shards.folder}' lacks the tensor '{group[0]}'; it is incomplete, or its "
                "architecture stores weights in a form that is not supported"
            )
        if any(not _equal(shards, there[0], name) for name in there[1:]):
            raise LLVQError(
                f"The configuration in '{shards.folder}' ties {' and '.join(there)}, but the checkpoint holds "
                'different values for them; set "tie_word_embeddings": false in config.json'
            )
        for name in group:
            entry = shards[there[0]]
            if entry.shape != tuple(tensors[name].shape):
                raise LLVQError(
                    f"The tensor '{name}' is {list(entry.shape)} in '{entry.path}', the configuration says "
                    f"{list(tensors[name].shape)}; config.json and weights belong to different models"
                )
            names[name] = there[0]
    return names


def _equal(shards: Shards, one: str, other: str) -> bool:
    import torch

    return bool(torch.equal(shards.tensor(one), shards.tensor(other)))


@dataclass
class StreamedModel:
    """A checkpoint folder with its model on the meta device.

    names: parameter -> tensor in `shards`; unused: tensors that the architecture does not know.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    shards: Shards
    names: dict[str, str]
    unused: list[str]

    @contextmanager
    def loaded(self, *modules: nn.Module) -> Iterator[None]:
        """Fill the modules with float32 weights for the length of the block, then empty them."""
        import torch

        prefixes = {module: name for name, module in self.model.named_modules()}
        places = [
            (owner, key, f"{prefixes[owner]}.{key}", parameter)
            for module in modules
            for owner in module.modules()
            for key, parameter in owner.named_parameters(recurse=False)
        ]
        try:
            for owner, key, name, _ in places:
                weight = self.shards.float32(self.names[name])
                setattr(owner, key, torch.nn.Parameter(weight, requires_grad=False))
            yield
        finally:
            for owner, key, _, empty in places:
                setattr(owner, key, empty)

    def linears(self) -> dict[str, tuple[int, int]]:
        """(out, in) of every linear to quantize, in the order of the model."""
        return {
            f"{prefix}.{short}": (linear.out_features, linear.in_features)
            for prefix, layer in decoder_layers(self.model)
            for short, linear in linears_of(layer).items()
        }


class Untouched(Mapping[str, "torch.Tensor"]):
    """Every tensor of a checkpoint that is not quantized, once, read when it is asked for."""

    def __init__(self, source: StreamedModel, quantized: Mapping[str, Any]) -> None:
        self._source = source
        wanted = {f"{name}.weight" for name in quantized}
        self._names: dict[str, str] = {}
        for name, stored in source.names.items():
            if name not in wanted and stored not in self._names.values():
                self._names[name] = stored

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._source.shards.tensor(self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def nbytes(self) -> int:
        """Bytes on the disk."""
        return sum(self._source.shards[stored].size for stored in self._names.values())


def empty_model(config: Any) -> PreTrainedModel:
    """The causal language model of a configuration, all parameters on the meta device."""
    import torch
    from torch.overrides import TorchFunctionMode
    from transformers import AutoModelForCausalLM

    class EmptyOnMeta(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            kwargs = dict(kwargs or {})
            if function is torch.empty:
                kwargs["device"] = "meta"
            return function(*args, **kwargs)

    with quiet(), EmptyOnMeta():
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    made = list(model.parameters())  # held until all are moved, so that no id is given twice
    empty = {id(old): torch.nn.Parameter(old.detach().to("meta"), requires_grad=False) for old in made}
    for module in model.modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, key, empty[id(parameter)])
    return model.eval()


def _buffers(model: PreTrainedModel, shards: Shards, names: Mapping[str, str]) -> None:
    """Fill buffers from the checkpoint where it has them; LLVQError for one that nobody has computed."""
    for name, buffer in list(model.named_buffers()):
        owner = model.get_submodule(name.rpartition(".")[0])
        if name in names:
            setattr(owner, name.rpartition(".")[2], shards.tensor(names[name]).to(buffer.dtype))
        elif buffer.is_meta:
            raise LLVQError(
                f"The buffer '{name}' of {type(model).__name__} cannot be computed without its weights; "
                "its architecture is not supported"
            )


def open_source(model: str | Path) -> StreamedModel:
    """Open a checkpoint (name or folder) without reading weights; every obstacle is an LLVQError."""
    from transformers import AutoConfig

    folder = resolve(model)
    config = read_config(folder)
    shards = Shards(folder)
    try:
        with quiet():
            empty = empty_model(AutoConfig.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise LLVQError(
            f"The configuration in '{folder}' does not make a model ({first_line(error)}); copy it again"
        ) from error
    skipped(empty)
    names = _names_on_disk(empty, shards)
    _buffers(empty, shards, names)
    for name in set(names.values()):
        if shards[name].dtype not in FLOATS and name in dict(empty.named_parameters(remove_duplicate=False)):
            shards.float32(name)  # says what is wrong
    unused = sorted(set(shards) - set(names.values()) - set(names))
    source = StreamedModel(str(model), folder, config, empty, load_tokenizer(folder), shards, names, unused)
    if not source.linears():
        raise LLVQError(
            f"'{folder}' has no nn.Linear of at least 24 inputs in its decoder layers, so nothing to quantize "
            f"({skipped(empty)[0]['reason']}); its architecture is not supported"
        )
    return source
