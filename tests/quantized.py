"""Quantized folders of small random models, without quantizing anything: codes and scales are random too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from doubles import byte_tokenizer

from llvq_mini import pack, store
from llvq_mini.codebook import Tapered
from llvq_mini.files import atomic_folder
from llvq_mini.layer import QuantizedLinear

BOOK = Tapered(levels=[2.8, 3.6, 4.2, 4.7, 5.2, 5.9])
SIZES: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 40,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "initializer_range": 0.2,
}


def architectures() -> dict[str, Any]:
    """Small configurations: tied and untied heads, biases, norms of queries and keys, sliding windows."""
    from transformers import Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

    return {
        "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
        "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=False),
        "qwen3": Qwen3Config(**SIZES, tie_word_embeddings=False),
        "gemma3": Gemma3TextConfig(
            **SIZES, sliding_window=32, layer_types=["sliding_attention", "full_attention"]
        ),
    }


def random_linear(rows: int, width: int, seed: int) -> QuantizedLinear:
    """Any codes of the book are a matrix."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, int(BOOK._start[-1]), rows * -(-width // 24), dtype=np.uint64)
    scale = rng.uniform(0.05, 0.3, rows).astype(np.float16)
    return QuantizedLinear(pack.pack(codes, BOOK.bits), scale, (rows, width), seed, BOOK)


def write_quantized(kind: str, folder: Path, **options: Any) -> Path:
    """A quantized folder of one of the architectures; options go to store.save."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(architectures()[kind])
    linears = {
        name: random_linear(module.out_features, module.in_features, number)
        for number, (name, module) in enumerate(model.named_modules())
        if isinstance(module, torch.nn.Linear) and "layers" in name
    }
    weights = {f"{name}.weight" for name in linears}
    tensors = {name: p.detach() for name, p in model.named_parameters() if name not in weights}
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = [type(model).__name__]
    with atomic_folder(folder) as partial:
        store.save(partial, config, linears, tensors, byte_tokenizer(), f"random {kind}", **options)
    return folder
