"""Other methods on the embedded model, with the same calibration, text and accounting of bits.

    python benchmarks/llm_rivals.py --list
    python benchmarks/llm_rivals.py gptq-2 e8p-2 leech-2 --work FOLDER      # any arms; stop and start as you like
    python benchmarks/llm_rivals.py --table                                 # of the results that are there

An arm takes minutes to an hour of two cores (trellis16-2 many hours), the first also the calibration. Results go to
benchmarks/results/llm_arms/, one JSON an arm, with all windows. Differences are paired over windows, against leech-2
by default, with 95 % intervals. Prints a table for people and a summary in JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from llm_arms import Arm, rivals
from llm_harness import RESULTS, Bench

from llvq_mini import embedded
from llvq_mini.arms import read, table


def main(arms: list[Arm], reference: str, description: str, make: type[Bench] = Bench) -> None:
    """The command line that this script, llm_ablation.py and llm_libraries.py share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "arms", nargs="*", metavar="ARM", help="arms to run, 'all' for every one (see --list)"
    )
    parser.add_argument("--list", action="store_true", help="list the arms")
    parser.add_argument("--table", action="store_true", help="only show the results that are there")
    parser.add_argument(
        "--work", type=Path, default=embedded.cache_folder() / "arms", help="folder to work in"
    )
    parser.add_argument("--reference", default=reference, help=f"arm to compare with ({reference})")
    parser.add_argument("--keep", action="store_true", help="keep dense weights of finished arms")
    parser.add_argument("--seed", type=int, default=0, help="of the rotations; others than 0 go to seeds/")
    parser.add_argument("--first", type=int, help="evaluate on the first windows only (16)")
    options = parser.parse_args()
    by_name = {arm.name: arm for arm in arms}
    unknown = [name for name in options.arms if name not in by_name and name != "all"]
    if unknown:
        parser.error(f"there is no arm '{unknown[0]}'; --list shows all")
    if options.list:
        for arm in arms:
            print(f"{arm.name:16s} {arm.text}")
        return
    chosen = arms if "all" in options.arms else [by_name[name] for name in options.arms]
    if chosen and not options.table:
        results = RESULTS / "seeds" if options.seed else RESULTS
        bench = make(options.work, results=results, say=lambda line: print(line, flush=True), seed=options.seed)
        for arm in chosen:
            bench.run(arm, options.first)
            if not options.keep:
                bench.clean(arm)
    known = {reference, *by_name}
    results = [result for name, result in read(RESULTS).items() if name in known]
    for line in table(results, options.reference):
        print(line)
    print(json.dumps({result["arm"]: [result["bits_per_weight"], result["excess"]] for result in results}))


if __name__ == "__main__":
    main(rivals(), "leech-2", __doc__.partition("\n")[0])
