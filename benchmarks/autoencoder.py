"""Autoencoders that differ in nothing but their quantizer: pictures back, bits, and use of the code.

    python benchmarks/autoencoder.py                # the long table, three seeds; resumable; writes
                                                    # benchmarks/results/autoencoder.json after every run
    python benchmarks/autoencoder.py --quick        # one seed, few steps, no long lists; prints only
    python benchmarks/autoencoder.py --images DIR --device cuda --perceptual --steps 20000 --batch 256 --size 128

Every run has the same network, initialization seed, crops and number of steps (llvq_mini/autoencoder.py).  Codes cost
17.58 bits a token where a code of that size exists, else the next possible: BSQ and LFQ 18, FSQ 17.61, and the
classes of the Leech code less.  `without losses` turns auxiliary losses off, `a tenth` divides their weights by ten.
Tokens carry the shape of patches.  Some codes are trained twice as long as well, and some on plain pictures,
where brightness and contrast are the tokens' business too.  A list of 196,560 codewords is compared with every token,
which is what makes random, Fibonacci-like and learned codes slow on a CPU; the groups run in the order of `GROUPS`,
all seeds of one first.

--images: a folder of pictures (any depth, e.g. CIFAR or a part of ImageNet as files), which are kept in memory, one
byte a number; every tenth by name is a test picture, and none may be smaller than --size.
--perceptual: adds LPIPS and rFID by torchmetrics (pip install torchmetrics[image]); both download network weights, and
rFID needs thousands of test pictures to mean anything.

Prints a table for people (mean and spread over seeds) and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from llvq_mini import autoencoder, kissing
from llvq_mini.errors import LLVQError
from llvq_mini.files import write_json
from llvq_mini.report import provenance
from llvq_mini.spherical import Quantizer, SphericalLeech
from llvq_mini.spherical_rivals import (
    BSQ,
    FSQ,
    LFQ,
    LearnedVQ,
    fibonacci_sphere,
    leech_class,
    random_sphere,
)

RESULT = Path(__file__).parent / "results" / "autoencoder.json"
CODES: dict[str, Callable[[], Quantizer]] = {
    "Leech": SphericalLeech,
    "BSQ": lambda: BSQ(18),
    "BSQ, a tenth of the losses": lambda: BSQ(18, entropy=0.01),
    "BSQ without losses": lambda: BSQ(18, entropy=0.0, commit=0.0),
    "LFQ": lambda: LFQ(18),
    "LFQ without losses": lambda: LFQ(18, entropy=0.0, commit=0.0),
    "FSQ": FSQ,
    "learned VQ, 4,096": lambda: LearnedVQ(4_096, commit=0.0025),
    "Leech pairs, 1,104": lambda: leech_class(1_104),
    "Leech octads, 97,152": lambda: leech_class(97_152),
    "Leech words, 98,304": lambda: leech_class(98_304),
    "random": random_sphere,
    "Fibonacci-like": fibonacci_sphere,
    "learned VQ": lambda: LearnedVQ(kissing.COUNT, commit=0.0025),  # lowered as LFQ's, for the same reason
}
QUICK = ("Leech", "BSQ", "BSQ without losses", "LFQ", "FSQ")
FIRST = tuple(CODES)[:8]
GROUPS: tuple[tuple[Sequence[str], str, int], ...] = (
    (FIRST, "shape", 1),
    (("Leech", "BSQ", "BSQ without losses"), "shape", 2),
    (("Leech", "BSQ without losses", "FSQ"), "plain", 1),
    (("random",), "shape", 1),
    (("learned VQ",), "shape", 1),
)
"""What the long table runs: codes, content, multiple of the steps.  Other codes are run by --codes."""


def folder_pictures(folder: Path, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Training and test pictures of a folder, as bytes in memory; every tenth by name is for testing."""
    suffixes = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
    if len(paths) < 10:
        raise LLVQError(f"{folder} holds {len(paths)} pictures; ten are needed to train and test.")
    pictures = [(255 * autoencoder.read_picture(p)).round().byte() for p in paths]
    least = min(min(p.shape[1:]) for p in pictures)
    if least < size:
        raise LLVQError(f"The smallest picture in {folder} has a side of {least}; try --size {least}.")
    return [p for n, p in enumerate(pictures) if n % 10], pictures[::10]


def perceptual_metrics(device: torch.device | str) -> tuple[Any, Any]:
    """LPIPS (AlexNet) and FID modules of torchmetrics; LLVQError where it or network weights are missing."""
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        lpips = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).to(device)
        fid = FrechetInceptionDistance(feature=2048, normalize=True).to(device)
    except ImportError as error:  # torchmetrics itself, or torchvision and torch-fidelity behind it
        raise LLVQError(
            f"--perceptual needs torchmetrics with its image packages: pip install 'torchmetrics[image]' ({error})"
        ) from error
    except OSError as error:
        raise LLVQError(
            f"--perceptual downloads the weights of AlexNet and Inception once, and that failed: {error}; "
            "run it with a network connection, or leave --perceptual out."
        ) from error
    return lpips, fid


def perceptual(model: autoencoder.Autoencoder, pictures: list[torch.Tensor]) -> dict[str, float]:
    """LPIPS (AlexNet) and FID between test pictures and their reconstructions."""
    device = next(model.parameters()).device
    lpips, fid = perceptual_metrics(device)
    for picture in pictures:
        x = autoencoder.as_float(picture)[None].to(device)
        y = autoencoder.reconstruct(model, picture)[0][None].to(device)
        lpips.update(y, x)
        fid.update(x, real=True)
        fid.update(y, real=False)
    return {"lpips": float(lpips.compute()), "rfid": float(fid.compute())}


def run(
    name: str, content: str, seed: int, pictures: tuple[list, list], settings: dict[str, Any], metrics: bool
) -> dict[str, Any]:
    """One autoencoder, trained and tested."""
    curve: list[tuple[int, float]] = []  # PSNR of the training crops, 50 steps together
    start = time.perf_counter()
    model = autoencoder.train(
        CODES[name],
        pictures[0],
        seed=seed,
        content=content,
        report=lambda step, error: curve.append((step, round(-10 * math.log10(error), 3))),
        **settings,
    )
    seconds = time.perf_counter() - start
    row = {"name": name, "content": content, "steps": settings["steps"], "seed": seed}
    row |= {"bits": model.quantizer.bits, "size": model.quantizer.size}
    row |= autoencoder.evaluate(model, pictures[1])
    if metrics:
        row |= perceptual(model, pictures[1])
    return row | {"curve": curve, "seconds": round(seconds, 1)}


def titles(runs: list[dict[str, Any]]) -> list[str]:
    """The row of the table that each run belongs to."""
    least = min((row["steps"] for row in runs), default=0)
    plain = ("" if row["content"] == "shape" else ", plain" for row in runs)
    long = ("" if row["steps"] == least else f", {row['steps']:,} steps" for row in runs)
    return [row["name"] + p + l for row, p, l in zip(runs, plain, long, strict=True)]


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over seeds, by code; and of the paired difference to the Leech code, seed by seed."""
    table: dict[str, dict[str, Any]] = {}
    leech = {_case(row): row for row in runs if row["name"] == "Leech"}
    names = titles(runs)
    for name in dict.fromkeys(names):
        rows = [row for row, title in zip(runs, names, strict=True) if title == name]
        pairs = [(leech[_case(row)], row) for row in rows if _case(row) in leech]
        keys = ("content", "steps", "bits", "bits_per_pixel", "side_bits_per_pixel")
        table[name] = {key: rows[0][key] for key in keys} | {"seeds": len(rows)}
        for key in ("psnr", "ssim", "used", "usage_entropy_bits", "lpips", "rfid"):
            if key in rows[0]:
                table[name][key] = _spread([row[key] for row in rows])
            if key in ("psnr", "ssim") and pairs:
                table[name][f"{key}_below_leech"] = _spread([ours[key] - row[key] for ours, row in pairs])
    return table


def _case(row: dict[str, Any]) -> tuple:
    """What two runs must share for a paired difference: the same crops and the same budget."""
    return row["content"], row["steps"], row["seed"]


def _spread(values: list[float]) -> list[float | None]:
    return [statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None]


def _order(item: tuple[str, dict[str, Any]]) -> tuple:
    row = item[1]
    return row["content"] == "plain", row["steps"], -row["psnr"][0]


def show(table: dict[str, dict[str, Any]]) -> None:
    """The table, best PSNR first."""
    print(f"{'code':36}{'bits':>8}{'bit/px':>8}{'PSNR':>16}{'SSIM':>18}{'used':>8}{'usage':>8}{'seeds':>7}")
    for name, row in sorted(table.items(), key=_order):
        psnr, ssim = (
            f"{mean:.{digits}f}" + (f" ± {s:.{digits}f}" if s is not None else "")
            for digits, (mean, s) in ((3, row["psnr"]), (4, row["ssim"]))
        )
        print(f"{name:36}{row['bits']:8.3f}{row['bits_per_pixel']:8.4f}{psnr:>16}{ssim:>18}"
              f"{row['used'][0]:8.0f}{row['usage_entropy_bits'][0]:8.2f}{row['seeds']:7d}")  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few steps; nothing is written")
    parser.add_argument("--codes", nargs="+", choices=list(CODES), metavar="CODE", help=", ".join(CODES))
    parser.add_argument(
        "--content", choices=autoencoder.CONTENTS, default="shape", help="for --codes, --quick"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="side of the square crops")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--depth", type=int, default=1, help="residual blocks on each side")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=Path, help="a folder of pictures in place of the bundled ones")
    parser.add_argument("--perceptual", action="store_true", help="LPIPS and rFID by torchmetrics")
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.perceptual:
        perceptual_metrics("cpu")  # fail before training, not after
    settings = {key: getattr(options, key) for key in ("steps", "batch", "size", "width", "depth", "device")}
    if options.quick:
        settings["steps"] = min(options.steps, 100)
    groups: Sequence[tuple[Sequence[str], str, int]] = GROUPS
    if options.codes or options.quick:
        groups = ((options.codes or QUICK, options.content, 1),)
    pictures = (
        folder_pictures(options.images, options.size) if options.images else autoencoder.bundled_pictures()
    )
    described = settings | {"pictures": options.images.resolve().name if options.images else "bundled"}
    record: dict[str, Any] = {"meta": provenance(), "settings": described, "runs": []}
    if options.output.exists() and not options.quick:
        earlier = json.loads(options.output.read_text())
        if earlier["settings"] == described:  # go on where an interrupted table stopped
            record["runs"] = earlier["runs"]
    done = {(row["name"], *_case(row)) for row in record["runs"]}
    seeds = range(1 if options.quick else options.seeds)
    plan = [(n, c, s, times) for codes, c, times in groups for s in seeds for n in codes]
    for name, content, seed, times in plan:
        steps = times * settings["steps"]
        if (name, content, steps, seed) in done:
            continue
        row = run(name, content, seed, pictures, settings | {"steps": steps}, options.perceptual)
        record["runs"].append(row)
        print(f"{name}, {content}, {steps} steps, seed {seed}: PSNR {row['psnr']:.3f}, SSIM {row['ssim']:.4f}, "
              f"{row['seconds']} s", file=sys.stderr, flush=True)  # fmt: skip
        record["summary"] = summary(record["runs"])
        if not options.quick:
            options.output.parent.mkdir(exist_ok=True)
            write_json(options.output, record)
    table = summary(record["runs"])
    show(table)
    print(
        json.dumps({"benchmark": "autoencoder", "psnr": {name: row["psnr"] for name, row in table.items()}})
    )


if __name__ == "__main__":
    try:
        main()
    except LLVQError as error:
        sys.exit(f"benchmarks/autoencoder.py: {error}")
