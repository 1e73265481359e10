"""Small stand-ins that several tests share:
a scalar codebook, a byte tokenizer, a random Llama model on the disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class ScalarBlock:
    """The Codebook protocol at 48 bits a block:
    each of 24 numbers to the nearest of four Lloyd-Max levels.
    """

    name = "scalar"
    dim = 24
    bits = 48
    bits_per_weight = 2.0
    levels = np.array([-1.510, -0.4528, 0.4528, 1.510], dtype=np.float32)
    shifts = np.arange(0, 48, 2, dtype=np.uint64)

    def encode(self, x: np.ndarray) -> np.ndarray:
        nearest = np.abs(x[:, :, None] - self.levels).argmin(axis=2).astype(np.uint64)
        return (nearest << self.shifts).sum(axis=1, dtype=np.uint64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return self.levels[((codes[:, None] >> self.shifts) & np.uint64(3)).astype(np.int64)]

    def spec(self) -> dict[str, Any]:
        return {"name": self.name}


class TwoNumbers(ScalarBlock):
    """The same idea with blocks of two numbers, one bit each: small enough to enumerate."""

    dim = 2
    bits = 2
    bits_per_weight = 1.0
    levels = np.array([-0.798, 0.798], dtype=np.float32)
    shifts = np.arange(2, dtype=np.uint64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return self.levels[((codes[:, None] >> self.shifts) & np.uint64(1)).astype(np.int64)]


def random_hessian(width: int, seed: int, samples: int | None = None) -> np.ndarray:
    """E[x x^T] of strongly correlated, unevenly scaled inputs."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((width, width)) * np.geomspace(1, 0.05, width)
    inputs = rng.standard_normal((samples or 4 * width, width)) @ mixing.T
    return inputs.T @ inputs / len(inputs)


def byte_tokenizer():
    """A tokenizer whose 256 tokens are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def tiny_llama(
    folder: Path,
    hidden: int = 64,
    layers: int = 2,
    dtype: str = "float32",
    tied: bool = True,
    seed: int = 0,
    intermediate: int | None = None,
) -> Path:
    """Write a random Llama model with grouped-query attention;
    `hidden` and its MLP need not be multiples of 24.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=hidden,
        intermediate_size=intermediate or hidden + 40,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def some_text(characters: int = 6000) -> str:
    """Text without meaning but with structure."""
    words = "the lattice of leech has many short vectors and no room for more so every hole is deep".split()
    rng = np.random.default_rng(5)
    text = " ".join(words[i] for i in rng.integers(0, len(words), characters // 4))
    return text[:characters]
