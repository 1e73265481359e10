"""A quantized folder as others need it: dense weights for any tool, and a model card for people.

    to_dense(OUT, DEST)    an ordinary Hugging Face folder; every linear decoded, nothing left that names this library
    write_card(OUT)        README.md with the commands that load, check and export the model

Dense weights are float32 or what is asked for; the codes decode to float32, so a narrower dtype rounds once more.
Beside the packed folder one shard and one dense linear are in memory at a time.

What this file does not do: other file formats; tools that read Hugging Face folders make those. Tests:
``tests/test_hf.py``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__, manifest, store
from .errors import LLVQError
from .files import atomic_folder, require_space
from .reading import read_json
from .report import read_report

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


def to_dense(folder: str | Path, out: str | Path, dtype: str = "float32", force: bool = False) -> Path:
    """Write the dense equivalent of a quantized folder; returns `out`.

    dtype: of the decoded weights and the tensors that were never quantized.  force: replace `out` if it exists.
    LLVQError for a damaged folder, a full disk or an existing `out`, ValueError for another dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"Argument 'dtype' must be one of {DTYPES}, got {dtype!r}")
    folder, out = Path(folder), Path(out)
    checkpoint = store.load(folder)
    weights = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    weights += sum(linear.shape[0] * linear.shape[1] for linear in checkpoint.linears.values())
    require_space(out, weights * (4 if dtype == "float32" else 2))
    config = read_json(folder / manifest.CONFIG)
    del config["quantization_config"]
    config.pop("torch_dtype", None)
    config["dtype"] = dtype
    with atomic_folder(out, replace=force) as partial:
        store.write_shards(partial, _dense(checkpoint, dtype), store.SHARD_BYTES)
        (partial / manifest.CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for name in manifest.read_manifest(folder)["files"]:
            if name not in (manifest.CONFIG, manifest.INDEX) and not name.endswith(".safetensors"):
                shutil.copyfile(folder / name, partial / name)
    return out


def _dense(checkpoint: store.Checkpoint, dtype: str) -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors by name, decoded one at a time."""
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    for name in sorted([*checkpoint.linears, *checkpoint.tensors]):
        if name in checkpoint.linears:
            yield f"{name}.weight", torch.from_numpy(checkpoint.linears[name].dequantize()).to(kind)
        else:
            tensor = checkpoint.tensors[name]
            yield name, tensor.to(kind) if tensor.is_floating_point() else tensor


_CARD = """---
library_name: transformers
tags:
- llvq
- quantized
- leech-lattice
---
# {source}, quantized to {bits:.3f} bits a weight

{count} linear layers with {weights:,} weights as codes of Leech lattice points: {bits:.4f} bits a weight on the disk,
scales and all tables included. Everything else is as in the original. Made by llvq_mini {version}{command}

## Use

```python
import llvq_mini

model, tokenizer = llvq_mini.load("{folder}")
```

or with transformers, after `import llvq_mini.hf`, which registers the method:

```python
import llvq_mini.hf
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
```

Without that import transformers stops with a size mismatch: it cannot read the codes.

```sh
llvq inspect {folder}                         # compare every checksum
llvq generate {folder} "Once upon a time"
llvq export {folder} --to dense -o {folder}-dense   # an ordinary folder, for every other tool
```
{evaluation}"""

_EVALUATION = """
## Measured

Perplexity {perplexity:.3f} on {tokens:,} tokens of held-out text ({windows} windows of {context}){baseline}.
"""


def write_card(folder: str | Path) -> Path:
    """Write README.md into a quantized folder, with the figures of its report where there is one; returns its path.

    LLVQError if it cannot be written.
    """
    folder = Path(folder)
    settings, measured = manifest.read_settings(folder), store.measured_bits(folder)
    command = evaluation = ""
    if (folder / manifest.REPORT).is_file():
        report = read_report(folder)
        steps = (report.get("provenance", {}), report.get("tuning", {}).get("provenance", {}))
        made_by = "\n".join(step["command"] for step in steps if "command" in step)
        command = f" with\n\n```sh\n{made_by}\n```" if made_by else ""
        evaluation = _measured(report.get("evaluation"))
    text = _CARD.format(
        source=settings["source"],
        bits=measured["bits_per_weight"],
        count=len(settings["linears"]),
        weights=measured["weights"],
        version=__version__,
        command=command or ".",
        folder=folder.name,
        evaluation=evaluation,
    )
    path = folder / manifest.CARD
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LLVQError(f"Cannot write '{path}' ({error.strerror or error})") from error
    return path


def _measured(evaluation: dict[str, float] | None) -> str:
    if not evaluation:
        return ""
    baseline = ""
    if "excess" in evaluation:
        baseline = (
            f"; the original's is {evaluation['baseline_perplexity']:.3f}, "
            f"{evaluation['excess']:.4f} nats a token less"
        )
    return _EVALUATION.format(baseline=baseline, **{k: v for k, v in evaluation.items() if k in _FIGURES})


_FIGURES = ("perplexity", "tokens", "windows", "context")
