"""Source models and token windows: what the pipeline and the evaluation both start from.

A model is named by the embedded model's name, by a local Hugging Face folder, or by the id of a repository on the
Hub (ORGANIZATION/NAME), which is fetched where there is a network. Any causal language model of transformers will do.
Everything is computed in float32 on the CPU.

A text becomes one long token sequence (no BOS, no special tokens), cut into windows of equal length that do
not overlap; of all windows, `count` are taken at equal distances, so that few windows still see many
articles.

What this file does not do: leave weights on the disk until they are needed (stream.py), or read quantized folders
(store.py). Tests: ``tests/test_models.py``, ``tests/test_pipeline.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import embedded
from .errors import LLVQError
from .shards import Shards

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST = "llvq.json"


@dataclass
class Source:
    """A loaded checkpoint: float32 `model`, its tokenizer, and where it came from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    folder: Path


def resolve(model: str | Path) -> Path:
    """The folder of a model: the embedded model's by its name, a local one by its path, otherwise one fetched
    from the Hub. LLVQError if there is none.
    """
    if str(model) == embedded.NAME:
        return embedded.model_folder()
    folder = Path(model)
    if not folder.is_dir():
        if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", str(model)):
            raise LLVQError(
                f"There is no model '{model}'; give a local Hugging Face folder, a Hub id such as "
                f"'organization/name', or '{embedded.NAME}' for the embedded model"
            )
        folder = fetch(str(model))
    if (folder / MANIFEST).exists():
        raise LLVQError(f"'{model}' is quantized already; give the folder of the original model")
    return folder


def fetch(repository: str, revision: str | None = None) -> Path:
    """A repository of the Hub, or of its local cache: configuration, tokenizer and safetensors, no code.

    LLVQError if there is neither.
    """
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        with quiet():
            return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # the errors of the Hub and of its network are OSErrors
        raise LLVQError(
            f"There is no folder '{repository}', and the Hub gave none ({first_line(error)}); "
            "give a local Hugging Face folder"
        ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder as a dictionary; LLVQError if it is missing, damaged, or describes no causal language
    model that transformers has, or one that is quantized already.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LLVQError(f"'{folder}' holds no config.json; give a Hugging Face model folder") from error
    except (OSError, ValueError) as error:
        raise LLVQError(f"'{path}' cannot be read as JSON ({error}); the folder is damaged") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise LLVQError(
            f"'{folder}' has model type '{kind}', which is no causal language model of this transformers; "
            "update transformers, or give another model"
        )
    if config.get("quantization_config") is not None:
        raise LLVQError(f"'{folder}' is quantized already; give the folder of the original model")
    return dict(config)


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
    from transformers import AutoModelForCausalLM

    folder = resolve(model)
    read_config(folder)
    Shards(folder)  # says what is wrong with damaged files
    try:
        with quiet():
            loading: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise LLVQError(f"The model in '{folder}' cannot be loaded ({first_line(error)})") from error
    loaded, info = loading
    tied = set(loaded.all_tied_weights_keys)
    missing = sorted(name for name in info["missing_keys"] if name not in tied)
    if missing:
        raise LLVQError(
            f"The model in '{folder}' lacks the tensor '{missing[0]}'; the checkpoint is incomplete"
        )
    loaded.eval()
    return Source(loaded, load_tokenizer(folder), str(model), folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a model folder, or an LLVQError."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LLVQError(f"The tokenizer in '{folder}' cannot be loaded ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """An exception's message in one line, or its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")


def token_windows(
    tokenizer: PreTrainedTokenizerBase, text: str, context: int, count: int | None = None
) -> np.ndarray:
    """(windows, context) int64 token ids: `count` non-overlapping windows of the text at equal distances, or
    all.

    LLVQError if the text is too short for `count` windows (for one, if `count` is None).
    ValueError for a context below 2.
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


def final_states(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """(context, hidden) states that leave the model's last norm for one window of (context,) token ids."""
    states: torch.Tensor = model.base_model(ids[None].to(model.device), use_cache=False).last_hidden_state
    return states[0]


def output_head(model: PreTrainedModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the model makes of its final hidden states (..., hidden): float32 logits (..., vocabulary).

    That is its output embedding, and where the configuration has one (Gemma 2) a soft cap c tanh(y / c). LLVQError for
    a model whose own logits on a few tokens are something else, a scaled product for one.
    """
    import torch

    embedding: Any = model.get_output_embeddings()
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)

    def logits(states: torch.Tensor) -> torch.Tensor:
        found = embedding(states).float()
        return found if cap is None else cap * torch.tanh(found / cap)

    probe = torch.arange(8, device=model.device)[None]
    with torch.inference_mode():
        own = model(probe, use_cache=False).logits.float()
        made = logits(final_states(model, probe[0]))
    if not torch.allclose(own, made, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise LLVQError(
            f"The logits of {type(model).__name__} are not the product of its head and its final states; "
            "this architecture cannot be compared with another model yet"
        )
    return logits
