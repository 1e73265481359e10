"""What quantizing 8 and 70 billion parameters would need: llvq_mini/plan.py with unit costs measured here.

The shapes are those of Llama 3 (arXiv 2407.21783, table 3); nothing of the models is needed but their configurations.
Memory follows from shapes alone. Times are what one unit of everything takes on this machine, times how often it
occurs. Prints a table, and one JSON line last; the JSON goes to benchmarks/results/memory_time_model.json.

    python benchmarks/memory_time_model.py
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from llvq_mini.pipeline import Settings
from llvq_mini.plan import measure_costs, memory_model, time_model
from llvq_mini.report import provenance
from llvq_mini.stream import empty_model

RESULT = Path(__file__).parent / "results" / "memory_time_model.json"
SHAPES = {
    "8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    "70B": {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64},
}


def main() -> None:
    """Measure unit costs, apply them to both shapes, print, write."""
    from transformers import LlamaConfig

    settings = Settings()
    costs = measure_costs(settings.make_codebook())
    models = {}
    for name, shape in SHAPES.items():
        model = empty_model(LlamaConfig(vocab_size=128256, num_key_value_heads=8, **shape))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        memory = memory_model(model, settings, costs)
        seconds = time_model(model, settings, costs, 2 * parameters)  # a bfloat16 checkpoint
        models[name] = {"parameters": parameters, "memory_bytes": memory, "seconds": seconds}
        print(f"{name}: {parameters / 1e9:.2f} billion parameters, {memory['peak'] / 1e9:.1f} GB at most")
        print("  GB: " + ", ".join(f"{part} {size / 1e9:.2f}" for part, size in memory.items()))
        print("  hours: " + ", ".join(f"{stage} {value / 3600:.2f}" for stage, value in seconds.items()))
    result = {
        "meta": provenance("python benchmarks/memory_time_model.py"),
        "settings": asdict(settings),
        "unit_costs": asdict(costs),
        "models": models,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: model["memory_bytes"]["peak"] for name, model in models.items()}))


if __name__ == "__main__":
    main()
