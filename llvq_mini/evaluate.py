"""How much worse is the quantized model? Perplexity, excess nats, divergence, agreement; and generation.

Both models read the same windows of held-out text, each window on its own, without BOS; the first token of a
window is not predicted. With l(t) = -log p(token t | its past in the window),
    perplexity = exp(mean l),    excess = mean (l_quantized - l_baseline)    in nats a token.
The excess is a paired difference on the same tokens, so its standard error is far smaller than that of either
mean. Neighboring tokens are correlated, so the error is taken over means of 128 consecutive tokens (`se`),
and over windows (`se_windows`). KL is the mean over positions of KL(baseline || quantized); agreement is the
share of positions with the same top token.

What this file does not do: downstream tasks. Tests: ``tests/test_evaluate.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LLVQError
from .models import final_states, output_head, token_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BLOCK = 128
"""Consecutive tokens whose mean counts as one sample for the standard error."""
_CHUNK = 256  # positions whose logits are in memory at a time


def evaluate(
    model: PreTrainedModel,
    windows: np.ndarray,
    baseline: PreTrainedModel | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Figures of `model` on (windows, context) token ids; with a baseline also excess, KL and agreement.

    Each model reads where its weights are, in their type; logits are compared in float32, where `model` is.
    """
    import torch

    started = time.perf_counter()
    losses, base_losses, divergences, agreements = [], [], [], []
    head = output_head(model)
    base_head = output_head(baseline) if baseline is not None else head
    with torch.inference_mode():
        for index, row in enumerate(windows):
            ids = torch.from_numpy(row).to(model.device)
            hidden = final_states(model, ids)
            base_hidden = final_states(baseline, ids) if baseline is not None else None
            for start in range(0, len(ids) - 1, _CHUNK):
                part = slice(start, min(start + _CHUNK, len(ids) - 1))
                targets = ids[part.start + 1 : part.stop + 1, None]
                log_p = head(hidden[part]).log_softmax(-1)
                losses.append(-log_p.gather(1, targets)[:, 0].cpu().numpy())
                if baseline is not None and base_hidden is not None:
                    log_q = base_head(base_hidden[part]).log_softmax(-1).to(log_p.device)
                    base_losses.append(-log_q.gather(1, targets)[:, 0].cpu().numpy())
                    divergences.append((log_q.exp() * (log_q - log_p)).sum(1).cpu().numpy())
                    agreements.append((log_q.argmax(1) == log_p.argmax(1)).cpu().numpy())
            if on_step:
                on_step("evaluate", index + 1, len(windows))
    result = _summary(np.concatenate(losses), windows)
    if baseline is not None:
        result |= _comparison(
            np.concatenate(losses),
            np.concatenate(base_losses),
            np.concatenate(divergences),
            np.concatenate(agreements),
            len(windows),
        )
    result["seconds"] = round(time.perf_counter() - started, 2)
    return result


def _summary(losses: np.ndarray, windows: np.ndarray) -> dict[str, Any]:
    nats = float(np.mean(losses, dtype=np.float64))
    if not np.isfinite(nats):
        raise LLVQError("The model's predictions are NaN or infinite on this text; the checkpoint is damaged")
    return {
        "windows": len(windows),
        "context": int(windows.shape[1]),
        "tokens": int(losses.size),
        "token_fingerprint": token_fingerprint(windows),
        "nats_per_token": nats,
        "perplexity": float(np.exp(nats)),
    }


def _comparison(
    losses: np.ndarray, base: np.ndarray, divergences: np.ndarray, agreements: np.ndarray, windows: int
) -> dict[str, Any]:
    excess = losses.astype(np.float64) - base
    base_nats = float(np.mean(base, dtype=np.float64))
    return {
        "baseline_nats_per_token": base_nats,
        "baseline_perplexity": float(np.exp(base_nats)),
        "excess": float(excess.mean()),
        "excess_se": standard_error(excess, BLOCK),
        "excess_se_windows": standard_error(excess, excess.size // windows),
        "kl": float(np.mean(divergences, dtype=np.float64)),
        "kl_se": standard_error(divergences.astype(np.float64), BLOCK),
        "top1_agreement": float(agreements.mean()),
    }


def standard_error(values: np.ndarray, block: int) -> float | None:
    """Standard error of the mean of correlated values, from means of `block` consecutive ones;
    None for one block.
    """
    blocks = values.size // block
    if blocks < 2:
        return None
    means = values[: blocks * block].reshape(blocks, block).mean(axis=1)
    return float(means.std(ddof=1) / np.sqrt(blocks))


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    max_new_tokens: int = 60,
    temperature: float = 0.0,
    seed: int = 0,
    chat: bool = False,
) -> str:
    """The model's continuation of a prompt, without the prompt: greedy at temperature 0, else sampled with
    the seed.

    `chat` wraps the prompt in the tokenizer's chat template as a user's message.
    ValueError for an empty prompt or settings out of range; LLVQError for `chat` without a template.
    """
    import torch

    if max_new_tokens < 1:
        raise ValueError(f"Argument 'max_new_tokens' must be at least 1, got {max_new_tokens}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            f"Argument 'temperature' must be finite and not negative, got {temperature}; use 0 for greedy"
        )
    if chat:
        if not tokenizer.chat_template:
            raise LLVQError("This tokenizer has no chat template; generate without --chat")
        message = [{"role": "user", "content": prompt}]
        prompt = str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
    ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]], dtype=torch.long)
    if ids.shape[1] == 0:
        raise ValueError("Argument 'prompt' must hold at least one token, got an empty text")
    torch.manual_seed(seed)
    sampling: dict[str, Any] = (
        {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    )
    sample: Any = model.generate  # the stubs of torch take it for a parameter
    with torch.inference_mode():
        output = sample(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id
            if tokenizer.pad_token_id is not None
            else tokenizer.eos_token_id,
            **sampling,
        )
    return str(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))
