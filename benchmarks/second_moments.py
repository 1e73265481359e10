"""Normalized second moments of Z, A2, D4, E8 and the Leech lattice by simulation, beside the known constants.

    python benchmarks/second_moments.py            # a minute; writes benchmarks/results/second_moments.json
    python benchmarks/second_moments.py --quick    # a twentieth of the points, prints only

For every lattice, `moment` and `stderr` come from `points` uniformly random points (llvq_mini/second_moment.py);
`known` is the published constant, `ball` the ball's second moment in that dimension, `gain_db` the granular gain
of `known` over Z.

Prints a table for people and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from llvq_mini import second_moment
from llvq_mini.files import write_json
from llvq_mini.report import provenance

RESULT = Path(__file__).parent / "results" / "second_moments.json"
POINTS = {"Z": 8_000_000, "A2": 4_000_000, "D4": 2_000_000, "E8": 2_000_000, "Leech": 8_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the points; nothing is written")
    quick = parser.parse_args().quick
    rows = []
    print(
        f"{'lattice':8}{'points':>10}{'moment':>12}{'stderr':>12}{'known':>11}{'deviation':>11}{'gain dB':>9}"
    )
    for lattice in second_moment.LATTICES:
        points = POINTS[lattice.name] // (20 if quick else 1)
        moment, stderr = second_moment.measure(lattice, points)
        rows.append(
            {
                "lattice": lattice.name,
                "dim": lattice.dim,
                "points": points,
                "moment": moment,
                "stderr": stderr,
                "known": lattice.known,
                "ball": second_moment.ball(lattice.dim),
                "gain_db": second_moment.gain_db(lattice.known),
            }
        )
        print(
            f"{lattice.name:8}{points:10,d}{moment:12.7f}{stderr:12.7f}{lattice.known:11.7f}"
            f"{(moment - lattice.known) / stderr:9.1f} s{rows[-1]['gain_db']:9.3f}",
            flush=True,
        )
    if not quick:
        write_json(RESULT, {"meta": provenance("python benchmarks/second_moments.py"), "rows": rows})
        print(f"written to {RESULT}", file=sys.stderr)
    print(json.dumps({"benchmark": "second_moments", "moments": {r["lattice"]: r["moment"] for r in rows}}))


if __name__ == "__main__":
    main()
