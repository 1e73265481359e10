"""What each step of the method brings on the embedded model, in nats a token, one change at a time.

    python benchmarks/llm_ablation.py --list
    python benchmarks/llm_ablation.py no-rotation no-feedback --work FOLDER
    python benchmarks/llm_ablation.py --table

Same harness, text and options as llm_rivals.py. Differences are paired with leech-2, the library's default: the
tapered code, rotated inputs, feedback, refitted row scales, E[x x^T] + 4 E[x_0 x_0^T] for value projections.
"""

from __future__ import annotations

from llm_arms import ablation
from llm_rivals import main

if __name__ == "__main__":
    main(ablation(), "leech-2", __doc__.partition("\n")[0])
