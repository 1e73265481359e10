"""What each step of the method brings on the embedded model, in nats a token, one change at a time.

    python benchmarks/llm_ablation.py --list
    python benchmarks/llm_ablation.py base sink no-rotation --work FOLDER
    python benchmarks/llm_ablation.py --table

Same harness, text and options as llm_rivals.py. Differences are paired with the arm "base"; "tuned" continues from the
base's quantized layers.
"""

from __future__ import annotations

from llm_arms import ablation
from llm_rivals import main

if __name__ == "__main__":
    main(ablation(), "base", __doc__.partition("\n")[0], base="base")
