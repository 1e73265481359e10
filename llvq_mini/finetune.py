"""Scale fine-tuning: after quantization, train what is stored unquantized anyway, by distillation.

A quantized linear computes y_r = s_r <v_r, x>. The directions v_r are codes and stay; the row scales s_r are
numbers, and so are the gains of the norms, which scale the inputs of the next linears. All of them are trained
together as factors that start at 1,
    y_r -> exp(u_r) y_r,        norm_i(x) -> exp(c_i) norm_i(x),
so that one learning rate is a relative step for all, and then merged: s_r exp(u_r) is rounded to fp16, c goes into
the norm's gain. The file keeps its shape and every byte of its codes: no bit is added.

The teacher is the original model, and the loss is
    KL(teacher || student) = sum_y p(y) (log p(y) - log q(y)),    averaged over all positions of a window,
which needs text but no labels. Weights get no gradient, so a step costs about two forward passes of the student,
and the teacher's final hidden states are kept instead of being computed in every epoch. AdamW without weight decay
(a factor of 1 is no prior for a damaged layer), linear warm-up, cosine decay to zero, one window a step.

Nothing a decoder sees changes its meaning; a run can stop after any step and go on from its checkpoint with the same
result, since the order of windows depends on the seed and the step only.

What this file does not do: change codes, train biases or embeddings, choose text. Papers: LLVQ (arXiv 2603.11021)
fine-tunes input scales; QuIP# (arXiv 2402.04396) section 5 for fine-tuning through frozen codes. Tests:
``tests/test_finetune.py``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LLVQError
from .files import flush
from .layer import QuantizedLinear
from .models import final_states, output_head, token_fingerprint

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

Head = Callable[["torch.Tensor"], "torch.Tensor"]
"""From final states (positions, hidden) to float32 logits (positions, vocabulary); models.output_head."""
_CHUNK = 256  # positions whose logits are in memory at a time
_SAVE_EVERY = 10  # steps between checkpoints


@dataclass(frozen=True)
class TuneSettings:
    """steps of one window each; learning_rate: the largest relative step of a factor; autocast: matrix products in
    bfloat16, about twice as fast on processors that have them, with slightly different results.
    """

    steps: int = 160
    learning_rate: float = 3e-3
    warmup: float = 0.1
    seed: int = 0
    autocast: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.learning_rate < 1 or not 0 <= self.warmup < 1:
            raise ValueError(
                f"Argument 'settings' must have steps >= 1, a learning_rate in (0, 1) and a warmup in [0, 1), "
                f"got {self}"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear rise, then half a cosine to zero."""
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))


def scaling_norms(model: nn.Module) -> dict[str, nn.Module]:
    """The norms whose output is their weight times something: modules with a vector `weight` alone that doubles
    the output when doubled. (A norm that multiplies by 1 + weight is left out.)
    """
    import torch

    found = {}
    for name, module in model.named_modules():
        parameters = dict(module.named_parameters())
        if list(parameters) != ["weight"] or parameters["weight"].ndim != 1:
            continue
        weight = parameters["weight"]
        probe = torch.linspace(-1, 2, weight.numel())[None]
        with torch.no_grad():
            once = module(probe)
            weight.mul_(2)
            twice = module(probe)
            weight.div_(2)
        if torch.allclose(twice, 2 * once):
            found[name] = module
    return found


class Factors:
    """Trainable log factors on the outputs of the given modules, {name: module}, applied by forward hooks."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        import torch

        self.modules = dict(modules)
        self.logs: dict[str, torch.nn.Parameter] = {
            name: torch.nn.Parameter(torch.zeros(_outputs(module))) for name, module in modules.items()
        }

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While this lasts, module outputs carry their factors."""

        def hook(name: str) -> Callable[..., torch.Tensor]:
            return lambda module, arguments, output: output * self.logs[name].exp()

        handles = [module.register_forward_hook(hook(name)) for name, module in self.modules.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _outputs(module: nn.Module) -> int:
    weight: Any = module.weight
    return int(weight.shape[0])


def divergence(
    teacher_head: Head, teacher: torch.Tensor, head: Head, hidden: torch.Tensor
) -> torch.Tensor:
    """Mean over positions of KL(teacher || student) from final states (context, hidden), in chunks of positions
    that are recomputed in the backward pass, so that one chunk of logits is in memory at a time.
    """
    from torch.utils.checkpoint import checkpoint

    def part(states: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        log_p = head(states).log_softmax(-1)
        log_t = teacher_head(target).log_softmax(-1)
        return (log_t.exp() * (log_t - log_p)).sum()

    total = hidden.new_zeros((), dtype=hidden.dtype)
    for start in range(0, len(hidden), _CHUNK):
        piece = slice(start, start + _CHUNK)
        total = total + checkpoint(part, hidden[piece], teacher[piece], use_reentrant=False)
    return total / len(hidden)


def tune(
    student: PreTrainedModel,
    linears: Mapping[str, QuantizedLinear],
    teacher: PreTrainedModel,
    windows: np.ndarray,
    settings: TuneSettings | None = None,
    checkpoint: Path | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> dict[str, QuantizedLinear]:
    """Train the scales of a dense quantized model in place; returns its linears with the new row scales.

    `student` holds the dequantized weights of `linears` (module names), `teacher` the original ones, both float32 in
    evaluation mode; windows (count, context) token ids, visited in a seeded order, each once an epoch. A file
    `checkpoint` is written every few steps, and when on_step raises KeyboardInterrupt, and continued from if it is
    there; LLVQError if it belongs to other settings, text or codes. on_step gets every step and its loss in nats, those
    of the checkpoint first. ValueError for linears that the student lacks. Afterwards the student computes exactly what
    the returned linears and its norms decode to.
    """
    import torch

    settings = settings or TuneSettings()
    modules = dict(student.named_modules())
    missing = [name for name in linears if name not in modules]
    if missing:
        raise ValueError(f"Argument 'linears' must name modules of the student, '{missing[0]}' is none")
    heads = output_head(teacher), output_head(student)
    norms = scaling_norms(student)
    factors = Factors({**{name: modules[name] for name in linears}, **norms})
    for parameter in student.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW(factors.logs.values(), betas=(0.9, 0.95), weight_decay=0.0)
    mark = _fingerprint(settings, linears, windows)
    losses = _restore(checkpoint, mark, factors, optimizer)
    if on_step:
        for step, loss in enumerate(losses):
            on_step(step, loss)
    kept: dict[int, torch.Tensor] = {}  # the teacher's final states by window
    with factors.applied():
        for step in range(len(losses), settings.steps):
            number = window_at(step, len(windows), settings.seed)
            ids = torch.from_numpy(windows[number])
            if number not in kept:
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=settings.autocast):
                    kept[number] = final_states(teacher, ids).float()
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step)
            losses.append(_step(student, heads, ids, kept[number], optimizer, settings.autocast))
            if checkpoint is not None and ((step + 1) % _SAVE_EVERY == 0 or step + 1 == settings.steps):
                _store(checkpoint, mark, losses, factors, optimizer)
            try:
                if on_step:
                    on_step(step, losses[-1])
            except KeyboardInterrupt:
                if checkpoint is not None:
                    _store(checkpoint, mark, losses, factors, optimizer)
                raise
    return _merge(student, linears, norms, factors)


def window_at(step: int, count: int, seed: int) -> int:
    """Which window a step reads: every epoch visits all in an order of its own, a function of seed and epoch."""
    epoch, place = divmod(step, count)
    return int(np.random.default_rng([seed, epoch]).permutation(count)[place])


def _step(
    student: PreTrainedModel,
    heads: tuple[Head, Head],
    ids: torch.Tensor,
    target: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    autocast: bool,
) -> float:
    import torch

    with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = divergence(heads[0], target, heads[1], final_states(student, ids))
    value = float(loss.detach())
    if not math.isfinite(value):
        raise LLVQError("Fine-tuning diverged to NaN or infinity; use a smaller learning rate")
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return value


def _merge(
    student: PreTrainedModel,
    linears: Mapping[str, QuantizedLinear],
    norms: Mapping[str, nn.Module],
    factors: Factors,
) -> dict[str, QuantizedLinear]:
    """Factors into fp16 row scales and norm gains; the student's weights become what the file will decode to."""
    import torch

    result = {}
    with torch.no_grad():
        for name, norm in norms.items():
            weight: Any = norm.weight
            weight.mul_(factors.logs[name].exp())
        for name, linear in linears.items():
            factor = factors.logs[name].exp().numpy(force=True)
            scale = linear.row_scale.astype(np.float32) * factor
            if scale.max(initial=0.0) > np.finfo(np.float16).max:
                raise LLVQError(f"A row scale of '{name}' left the fp16 range; use a smaller learning rate")
            result[name] = replace(linear, row_scale=scale.astype(np.float16))
            dense: Any = factors.modules[name].weight
            dense.copy_(torch.from_numpy(result[name].dequantize()))
    return result


def _fingerprint(settings: TuneSettings, linears: Mapping[str, QuantizedLinear], windows: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    digest.update(token_fingerprint(windows).encode())
    for name, linear in sorted(linears.items()):
        digest.update(name.encode() + linear.row_scale.tobytes() + linear.codes.tobytes())
    return digest.hexdigest()


def _store(
    path: Path, mark: str, losses: list[float], factors: Factors, optimizer: torch.optim.Optimizer
) -> None:
    """Factors, optimizer moments and the losses of the steps done, as safetensors, atomically."""
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, log in factors.logs.items():
        state = optimizer.state[log]
        tensors |= {
            f"{name}:log": log.detach(),
            f"{name}:first": state["exp_avg"],
            f"{name}:second": state["exp_avg_sq"],
        }
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        save_file(tensors, partial, metadata={"fingerprint": mark})
        flush(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _restore(path: Path | None, mark: str, factors: Factors, optimizer: torch.optim.Optimizer) -> list[float]:
    """The losses of the steps done according to the checkpoint, whose state is taken over; none without one."""
    import torch
    from safetensors import SafetensorError, safe_open

    if path is None or not path.exists():
        return []
    try:
        with safe_open(path, "pt") as stream:
            if (stream.metadata() or {}).get("fingerprint") != mark:
                raise LLVQError(
                    f"'{path}' belongs to a tuning run with other settings, text or codes; remove it"
                )
            losses: list[float] = stream.get_tensor("losses").tolist()
            for name, log in factors.logs.items():
                with torch.no_grad():
                    log.copy_(stream.get_tensor(f"{name}:log"))
                optimizer.state[log] = {
                    "step": torch.tensor(float(len(losses))),
                    "exp_avg": stream.get_tensor(f"{name}:first"),
                    "exp_avg_sq": stream.get_tensor(f"{name}:second"),
                }
    except SafetensorError as error:
        raise LLVQError(f"'{path}' is damaged; remove it and start again") from error
    return losses
