"""A small report and small texts for the tests of the widgets that show a quantized model."""

from __future__ import annotations

from typing import Any


def report() -> dict[str, Any]:
    """A report of three layers with two kinds of linears."""
    layers = []
    for n in range(6):
        kind = ("self_attn.q_proj", "mlp.up_proj")[n % 2]
        layers.append(
            {
                "name": f"model.layers.{n // 2}.{kind}",
                "rows": 48 + n,
                "columns": 96,
                "bits": 1,
                "bits_per_weight": 2.0 + n / 50,
                "proxy_error": (0.02, 0.004, 0.0007, 0.05, 0.011, 0.03)[n],
                "mse": (0.08, 0.07, 0.09, 0.1, 0.075, 0.085)[n],
                "sqnr_db": 10.0 + n,
                "damping": (0.0, 1e-4, 2e-3, 5e-3, 1e-5, 1e-2)[n],
                "condition": (12.5, 800.0, 14_000.0, 2e6, 90.0, 300.0)[n],
                "path": "rotation, feedback" if n % 2 else "rotation",
                "seconds": 0.25 * n,
                "input_of": "x",
            }
        )
    return {"layers": layers}


def _text(pieces: list[str], surprise: list[float], same: int, missed: float) -> dict[str, Any]:
    instead = [" so" if bits > 2 else piece for piece, bits in zip(pieces, surprise, strict=True)]
    chance = [0.5 for _ in pieces]
    return {
        "pieces": pieces,
        "surprise": surprise,
        "instead": instead,
        "chance": chance,
        "same": same,
        "missed": missed,
    }


def prompts() -> dict[str, Any]:
    """Two prompts and three models; one text is empty, one would break careless HTML."""
    original = [
        _text([" the", " water", "."], [1.0, 0.5, 0.1], 3, 0.53),
        _text([" a", "\n"], [1.5, 0.2], 2, 0.85),
    ]
    good = [
        _text([" the", " steam", "."], [1.0, 6.0, 0.3], 1, 2.0),
        _text([" a", " <b>bold"], [1.5, 11.0], 1, 4.0),
    ]
    bad = [_text([], [], 0, 9.0), _text([" urgently", " Venet"], [14.2, 2.5], 0, 12.0)]
    rows = (("original", None, 0, original), ("rtn-2", 2.28, 0, bad), ("descent-1", 2.02, 1, good))
    arms = [
        {"arm": name, "text": name, "bits_per_weight": bits, "seed": seed, "texts": texts}
        for name, bits, seed, texts in rows
    ]
    return {"meta": {"command": "test"}, "tokens": 40, "prompts": ["Water boils when", "It is"], "arms": arms}
