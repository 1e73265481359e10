"""What a causal language model is made of: its decoder layers, the linears to quantize, and why the rest is left.

No list of architectures decides anything. The decoder layers are the one `nn.ModuleList` that has as many members as
the configuration says and a linear in each of them. Of their modules, every plain `nn.Linear` at least one block (24)
wide is quantized; biases, norms and everything outside the decoder layers stay as they are. What is left out is
listed with its reason, so that nothing is passed over in silence.

Value projections deserve a name of their own: the attention sink carries the first position's values everywhere
(hessian.py). Fused projections that contain the values count.

What this file does not do: load weights (stream.py) or run layers (calibrate.py). Tests: ``tests/test_models.py``.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from .errors import LLVQError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

NARROWEST = 24
"""Columns of the narrowest linear that is quantized: one block of the codes."""
_VALUES = ("v_proj", "qkv_proj", "query_key_value", "Wqkv", "kv_b_proj", "value", "wv")


def decoder_layers(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """(name, module) of the decoder layers, in order; LLVQError where they cannot be told."""
    from torch import nn

    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count and all(map(_holds_matrix, module))
    ]
    outermost = [
        (name, module)
        for name, module in found
        if not any(name.startswith(other + ".") for other, _ in found)
    ]
    if len(outermost) != 1:
        raise LLVQError(
            f"The model {type(model).__name__} has {len(outermost)} lists of {count} decoder layers, expected one; "
            "its architecture is not supported"
        )
    name, layers = outermost[0]
    return [(f"{name}.{index}", layer) for index, layer in enumerate(layers)]


def outside(model: PreTrainedModel) -> list[nn.Module]:
    """The modules besides decoder layers and head that hold parameters of their own: embeddings, final norm."""
    layers = {module for _, layer in decoder_layers(model) for module in layer.modules()}
    head = model.get_output_embeddings()
    return [
        module
        for module in model.modules()
        if module not in layers and module is not head and list(module.parameters(recurse=False))
    ]


def _holds_matrix(layer: nn.Module) -> bool:
    return any(parameter.ndim >= 2 for parameter in layer.parameters())


def linears_of(layer: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers inside one decoder layer that are quantized, by their name within it."""
    from torch import nn

    return {
        name: module
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear) and _obstacle(module) is None
    }


def _obstacle(module: nn.Module) -> str | None:
    """Why a module with a weight matrix inside a decoder layer is not quantized; None if it is."""
    from torch import nn

    if type(module) is nn.Linear:
        narrow = module.in_features < NARROWEST
        return f"fewer than {NARROWEST} inputs, less than one block" if narrow else None
    if isinstance(module, nn.Linear):
        return f"{type(module).__name__} is not a plain nn.Linear"
    if any(parameter.ndim > 2 for parameter in module.parameters(recurse=False)):
        return (
            f"{type(module).__name__} holds fused matrices, not an nn.Linear for each (experts, convolutions)"
        )
    return f"{type(module).__name__} is not an nn.Linear"


def reaches_all_positions(short: str) -> bool:
    """Whether a linear makes value vectors, which attention carries to other positions."""
    return short.rpartition(".")[2] in _VALUES


def shared_weights(model: PreTrainedModel) -> set[str]:
    """Names of parameters that are one tensor under several names (a tied head and its embedding)."""
    named = list(model.named_parameters(remove_duplicate=False))
    times = Counter(id(parameter) for _, parameter in named)
    return {name for name, parameter in named if times[id(parameter)] > 1}


def skipped(model: PreTrainedModel) -> list[dict[str, Any]]:
    """What stays as it is: {"name", "count", "shape", "reason"}, equal parameters of all layers in one entry.

    LLVQError if decoder layers share a weight: rounding it for one would change the other.
    """
    layers = decoder_layers(model)
    prefix = layers[0][0].rpartition(".")[0] + "."
    wanted = {f"{name}.{short}.weight" for name, layer in layers for short in linears_of(layer)}
    shared = shared_weights(model)
    if wanted & shared:
        raise LLVQError(
            f"The weight '{min(wanted & shared)}' is shared by several modules; its architecture is not supported"
        )
    entries: dict[tuple[Any, ...], int] = {}
    for name, parameter in model.named_parameters():
        if name in wanted:
            continue
        reason = _reason(model, name, parameter.ndim, name.startswith(prefix), name in shared)
        pattern = re.sub(rf"^{re.escape(prefix)}\d+\.", f"{prefix}*.", name)
        key = (pattern, tuple(parameter.shape), reason)
        entries[key] = entries.get(key, 0) + 1
    return [
        {"name": name, "count": count, "shape": list(shape), "reason": reason}
        for (name, shape, reason), count in entries.items()
    ]


def _reason(model: PreTrainedModel, name: str, dimensions: int, inside: bool, shared: bool) -> str:
    if dimensions < 2:
        return "bias, kept" if name.endswith("bias") else "vector (norms and the like), kept"
    module = model.get_submodule(name.rpartition(".")[0])
    if inside:
        return _obstacle(module) or "not the weight of an nn.Linear"
    if module is model.get_input_embeddings():
        return "token embedding, also the output head (tied)" if shared else "token embedding"
    if module is model.get_output_embeddings():
        return "output head"
    return "outside the decoder layers"
