"""Autoencoders that differ in nothing but their quantizer: pictures back, bits, and use of the code.

    python benchmarks/autoencoder.py                # the long table, three seeds; resumable; writes
                                                    # benchmarks/results/autoencoder.json after every run
    python benchmarks/autoencoder.py --quick        # one seed, few steps, no long lists; prints only
    python benchmarks/autoencoder.py --images DIR --device cuda --perceptual --steps 20000 --batch 256 --size 128

Every run has the same network, initialization seed, crops and number of steps (llvq_mini/autoencoder.py).  Codes cost
17.58 bits a token where a code of that size exists, else the next possible: BSQ and LFQ 18, FSQ 17.61, and the
classes of the Leech code less.  `without losses` turns auxiliary losses off.  A list of 196,560 codewords is compared
with every token, which is what makes random, Fibonacci-like and learned codes slow on a CPU.

--images: a folder of pictures (any depth, e.g. ImageNet or CIFAR as files); every tenth by name is a test picture.
--perceptual: adds LPIPS and rFID by torchmetrics (pip install torchmetrics[image]); both download network weights, and
rFID needs thousands of test pictures to mean anything.

Prints a table for people (mean and spread over seeds) and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
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
    "BSQ without losses": lambda: BSQ(18, entropy=0.0, commit=0.0),
    "LFQ": lambda: LFQ(18),
    "LFQ without losses": lambda: LFQ(18, entropy=0.0, commit=0.0),
    "FSQ": FSQ,
    "Leech pairs, 1,104": lambda: leech_class(1_104),
    "Leech octads, 97,152": lambda: leech_class(97_152),
    "Leech words, 98,304": lambda: leech_class(98_304),
    "random": random_sphere,
    "Fibonacci-like": fibonacci_sphere,
    "learned VQ": lambda: LearnedVQ(kissing.COUNT),
}
QUICK = ("Leech", "BSQ", "BSQ without losses", "LFQ", "FSQ")


def folder_pictures(folder: Path) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Training and test pictures of a folder; every tenth by name is for testing."""
    suffixes = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
    if len(paths) < 10:
        raise LLVQError(f"{folder} holds {len(paths)} pictures; ten are needed to train and test.")
    pictures = [autoencoder.read_picture(p) for p in paths]
    return [p for n, p in enumerate(pictures) if n % 10], pictures[::10]


def perceptual(model: autoencoder.Autoencoder, pictures: list[torch.Tensor]) -> dict[str, float]:
    """LPIPS (AlexNet) and FID between test pictures and their reconstructions."""
    try:
        from torchmetrics.image import FrechetInceptionDistance, LearnedPerceptualImagePatchSimilarity
    except ImportError as error:
        raise LLVQError("--perceptual needs torchmetrics: pip install 'torchmetrics[image]'") from error
    device = next(model.parameters()).device
    lpips = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).to(device)
    fid = FrechetInceptionDistance(feature=2048, normalize=True).to(device)
    for picture in pictures:
        x, y = picture[None].to(device), autoencoder.reconstruct(model, picture)[0][None].to(device)
        lpips.update(y, x)
        fid.update(x, real=True)
        fid.update(y, real=False)
    return {"lpips": float(lpips.compute()), "rfid": float(fid.compute())}


def run(
    name: str, seed: int, pictures: tuple[list, list], settings: dict[str, Any], metrics: bool
) -> dict[str, Any]:
    """One autoencoder, trained and tested."""
    start = time.perf_counter()
    model = autoencoder.train(CODES[name], pictures[0], seed=seed, **settings)
    seconds = time.perf_counter() - start
    row = {"name": name, "seed": seed, "bits": model.quantizer.bits, "size": model.quantizer.size}
    row |= autoencoder.evaluate(model, pictures[1])
    if metrics:
        row |= perceptual(model, pictures[1])
    return row | {"seconds": round(seconds, 1)}


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over seeds, by code."""
    table: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["name"] for row in runs):
        rows = [row for row in runs if row["name"] == name]
        table[name] = {
            "seeds": len(rows),
            "bits": rows[0]["bits"],
            "bits_per_pixel": rows[0]["bits_per_pixel"],
        }
        for key in ("psnr", "ssim", "used", "usage_entropy_bits", "lpips", "rfid"):
            values = [row[key] for row in rows if key in row]
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else None
                table[name][key] = [statistics.fmean(values), spread]
    return table


def show(table: dict[str, dict[str, Any]]) -> None:
    """The table, best PSNR first."""
    print(f"{'code':24}{'bits':>8}{'bit/px':>8}{'PSNR':>16}{'SSIM':>18}{'used':>8}{'usage':>8}{'seeds':>7}")
    for name, row in sorted(table.items(), key=lambda item: -item[1]["psnr"][0]):
        psnr, ssim = (
            f"{mean:.3f}" + (f" ± {s:.3f}" if s is not None else "") for mean, s in (row["psnr"], row["ssim"])
        )
        print(f"{name:24}{row['bits']:8.3f}{row['bits_per_pixel']:8.4f}{psnr:>16}{ssim:>18}"
              f"{row['used'][0]:8.0f}{row['usage_entropy_bits'][0]:8.2f}{row['seeds']:7d}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few steps; nothing is written")
    parser.add_argument("--codes", nargs="+", choices=list(CODES), metavar="CODE", help=", ".join(CODES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=64, help="side of the square crops")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=Path, help="a folder of pictures in place of the bundled ones")
    parser.add_argument("--perceptual", action="store_true", help="LPIPS and rFID by torchmetrics")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    keys = ("steps", "batch", "size", "width", "depth", "device")
    settings = {key: getattr(options, key) for key in keys}
    if options.quick:
        settings |= {"steps": min(options.steps, 100), "batch": 16}
    names = options.codes or (QUICK if options.quick else tuple(CODES))
    pictures = folder_pictures(options.images) if options.images else autoencoder.bundled_pictures()
    described = settings | {"pictures": str(options.images.name) if options.images else "bundled"}
    record: dict[str, Any] = {"meta": provenance(), "settings": described, "runs": []}
    if options.output.exists() and not options.quick:
        earlier = json.loads(options.output.read_text())
        if earlier["settings"] == described:  # go on where an interrupted table stopped
            record["runs"] = earlier["runs"]
    done = {(row["name"], row["seed"]) for row in record["runs"]}
    for seed in range(1 if options.quick else options.seeds):
        for name in names:
            if (name, seed) in done:
                continue
            row = run(name, seed, pictures, settings, options.perceptual)
            record["runs"].append(row)
            print(f"{name}, seed {seed}: PSNR {row['psnr']:.3f}, SSIM {row['ssim']:.4f}, {row['seconds']} s",
                  file=sys.stderr, flush=True)  # fmt: skip
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
    main()
