"""Source models and token windows: what the pipeline and the evaluation both start from.

A model is named either by the embedded model's name or by a local Hugging Face folder of Llama architecture.
Everything is computed in float32 on the CPU; the checkpoint's own dtype is remembered, so that tensors which
are not quantized can be stored as they came.

A text becomes one long token sequence (no BOS, no special tokens), cut into windows of equal length that do
not overlap; of all windows, `count` are taken at equal distances, so that few windows still see many
articles.

What this file does not do: reach a model hub, or read quantized folders (store.py). Tests:
``tests/test_pipeline.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import embedded
from .errors import LLVQError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST = "llvq.json"


@dataclass
class Source:
    """A loaded checkpoint: float32 `model`, its tokenizer, the dtype names on disk,
    and where it came from.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtypes: dict[str, torch.dtype]
    name: str
    folder: Path


def resolve(model: str | Path) -> Path:
    """The folder of a model: the embedded model's by its name, otherwise a local path.
    LLVQError if there is none.
    """
    if str(model) == embedded.NAME:
        return embedded.model_folder()
    folder = Path(model)
    if not folder.is_dir():
        raise LLVQError(
            f"There is no model '{model}'; give a local Hugging Face folder, "
            f"or '{embedded.NAME}' for the embedded model"
        )
    if (folder / MANIFEST).exists():
        raise LLVQError(f"'{model}' is quantized already; give the folder of the original model")
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder as a dictionary;
    LLVQError if it is missing, damaged or not of Llama architecture.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LLVQError(f"'{folder}' holds no config.json; give a Hugging Face model folder") from error
    except (OSError, ValueError) as error:
        raise LLVQError(f"'{path}' cannot be read as JSON ({error}); the folder is damaged") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "llama":
        raise LLVQError(
            f"'{folder}' has model type '{kind}', expected 'llama'; only Llama architectures are supported"
        )
    return config


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars and warning while it loads; errors still come through."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_source(model: str | Path) -> Source:
    """Load an unquantized checkpoint with its tokenizer, in float32; every failure is an LLVQError."""
    import torch
    from transformers import LlamaForCausalLM

    folder = resolve(model)
    read_config(folder)
    dtypes = _stored_dtypes(folder)
    try:
        with quiet():
            loading: Any = LlamaForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise LLVQError(f"The model in '{folder}' cannot be loaded ({_first_line(error)})") from error
    loaded, info = loading
    missing = [name for name in info["missing_keys"] if name != "lm_head.weight"]
    if missing:
        raise LLVQError(
            f"The model in '{folder}' lacks the tensor '{missing[0]}'; the checkpoint is incomplete"
        )
    loaded.eval()
    return Source(loaded, load_tokenizer(folder), dtypes, str(model), folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a model folder, or an LLVQError."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LLVQError(f"The tokenizer in '{folder}' cannot be loaded ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")


def _stored_dtypes(folder: Path) -> dict[str, torch.dtype]:
    """The dtype of every tensor in the folder's safetensors files."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise LLVQError(f"'{folder}' holds no .safetensors file; convert the checkpoint to safetensors first")
    dtypes = {}
    for path in files:
        try:
            with safe_open(path, "pt") as stream:
                for name in stream.keys():
                    dtypes[name] = stream.get_tensor(name).dtype
        except SafetensorError as error:
            raise LLVQError(f"'{path}' is damaged ({_first_line(error)}); copy it again") from error
    return dtypes


def token_windows(
    tokenizer: PreTrainedTokenizerBase, text: str, context: int, count: int | None = None
) -> np.ndarray:
    """(windows, context) int64 token ids: `count` non-overlapping windows of the text at equal distances, or
    all.

    LLVQError if the text is too short for `count` windows (for one, if `count` is None).
    """
    if context < 2:
        raise ValueError(f"Argument 'context' must be at least 2, got {context}; predictions need a past")
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    available = len(ids) // context
    wanted = available if count is None else count
    if not 1 <= wanted <= available:
        raise LLVQError(
            f"The text gives {available} windows of {context} tokens, {max(wanted, 1)} are needed; "
            "use a longer text, fewer windows or a shorter context"
        )
    table = np.asarray(ids[: available * context], dtype=np.int64).reshape(available, context)
    return table[np.arange(wanted) * available // wanted]


def token_fingerprint(windows: np.ndarray) -> str:
    """SHA-256 of token ids as little-endian int32, row by row:
    two results with the same one saw the same text.
    """
    return hashlib.sha256(np.ascontiguousarray(windows, dtype="<i4").tobytes()).hexdigest()
