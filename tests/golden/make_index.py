"""Make index.json: pairs of index and point that every later version must reproduce, because files depend on them.

The origin, the first and the last point of shells 2 to 13, and 100 random indices.  Run it only to begin a new,
incompatible file format: python tests/golden/make_index.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from llvq_mini import index, shells


def main() -> None:
    rng = np.random.default_rng(48)
    codes = [0]
    for m in range(2, 14):
        codes += [shells.ball_size(m - 1) + 1, shells.ball_size(m)]
        codes += rng.integers(codes[-2], codes[-1], 5).tolist()
    codes += rng.integers(0, index.size(13), 40).tolist()
    points = index.decode(np.array(codes, dtype=np.uint64), 13).tolist()
    lines = [f'  "{name}": [\n    ' + ",\n    ".join(map(json.dumps, rows)) + "\n  ]"
             for name, rows in (("codes", codes), ("points", points))]  # fmt: skip
    Path(__file__).with_name("index.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
