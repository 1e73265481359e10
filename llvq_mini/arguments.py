"""The arguments of the `llvq` command and their help; cli.py says what the commands do with them.

What this file does not do: import anything heavy, so that --help is quick. Tests: ``tests/test_cli.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import __version__

_MODEL_HELP = "Hugging Face folder, Hub id, or 'smollm2-135m' for the embedded model"


def _at_least(minimum: int) -> Any:
    def parse(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}, got {value}")
        return value

    parse.__name__ = "integer"
    return parse


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    made = argparse.ArgumentParser(
        prog="llvq", description="Quantize language models to 1 to 4 bits a weight."
    )
    made.add_argument("--version", action="version", version=f"llvq_mini {__version__}")
    commands = made.add_subparsers(dest="command", required=True)

    _quantize_options(commands.add_parser("quantize", help="quantize a model into a new folder"))

    _tune_options(commands.add_parser("tune", help="better scales for a quantized folder, by distillation"))

    one = commands.add_parser("eval", help="perplexity and excess over the original model")
    one.add_argument("folder", type=Path, metavar="OUT", help="quantized folder")
    one.add_argument("--baseline", help="the original model (default: its source); 'none' to leave it out")
    one.add_argument("--context", type=_at_least(2), default=2048, help="tokens a window")
    one.add_argument("--text", type=Path, help="held-out text, UTF-8 (default: embedded Wikipedia)")
    _evaluation_options(one, "windows of text")

    one = commands.add_parser("generate", help="continue a prompt")
    one.add_argument("folder", metavar="OUT", help="quantized folder; or an original model, to compare")
    one.add_argument("prompt")
    one.add_argument("--max-new-tokens", type=_at_least(1), default=60)
    one.add_argument("--temperature", type=float, default=0.0, help="0 is greedy")
    one.add_argument("--seed", type=_at_least(0), default=0)
    one.add_argument("--chat", action="store_true", help="wrap the prompt in the chat template")
    one.add_argument(
        "--mode",
        choices=("packed", "cached", "dense"),
        default="cached",
        help="packed: weights stay at 2 bits in memory; cached, dense: decoded once, faster (cached)",
    )

    one = commands.add_parser("inspect", help="verify a quantized folder and show its report")
    one.add_argument("folder", type=Path, metavar="OUT")

    one = commands.add_parser("export", help="write a quantized model in another form")
    one.add_argument("folder", type=Path, metavar="OUT", help="quantized folder")
    one.add_argument("--to", choices=("dense",), default="dense", help="an ordinary Hugging Face folder")
    one.add_argument("-o", "--out", type=Path, default=None, help="folder to create (default: OUT-dense)")
    one.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    one.add_argument("--force", action="store_true", help="replace the folder if it exists")

    one = commands.add_parser("demo", help="quantize the embedded model if need be, and let it talk")
    one.add_argument("-o", "--out", type=Path, default=None, help="folder (default: in the cache)")

    one = commands.add_parser("bench", help="measure distortion against rate of every code")
    one.add_argument("what", choices=["rd"], help="rd: rate and distortion, about 20 minutes on two cores")
    one.add_argument(
        "-o", "--out", type=Path, default=Path("benchmarks/results"), help="folder of the results"
    )
    one.add_argument(
        "--quick", action="store_true", help="few codes and blocks, about a minute; rd-quick.json"
    )
    return made


def _quantize_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("model", help=_MODEL_HELP)
    one.add_argument("-o", "--out", type=Path, required=True, help="folder to create")
    one.add_argument(
        "--bits", type=float, default=2.0, help="bits a weight before scales: 1 to 4 in steps of 0.5 (2)"
    )
    one.add_argument(
        "--codebook",
        help="tapered, interlocked, shape-gain or ball at 2 bits (tapered), interlocked at 1.5 and 2.5, "
        "shell at 1, two-stage at 3 to 4",
    )
    one.add_argument("--windows", type=_at_least(1), default=None, help="calibration windows")
    one.add_argument("--context", type=_at_least(2), default=2048, help="tokens a window")
    one.add_argument("--seed", type=_at_least(0), default=0, help="of the rotations")
    one.add_argument("--text", type=Path, help="calibration text, UTF-8 (default: embedded Wikipedia)")
    one.add_argument(
        "--sequential", action="store_true", help="Hessians from the quantized layers below, not the original"
    )
    one.add_argument(
        "--passes", type=_at_least(0), default=1, help="of coordinate descent after the sweep over a matrix (1)"
    )
    one.add_argument(
        "--device", default="cpu", help="where to search: cpu, cuda or cuda:N; the bytes are the same (cpu)"
    )
    one.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be done, its size, memory and time; write nothing",
    )
    one.add_argument(
        "--force", action="store_true", help="replace OUT, and unfinished work with other settings"
    )
    _evaluation_options(one, "windows of held-out text to evaluate on afterwards, 0 for none")


def _tune_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("folder", type=Path, metavar="FOLDER", help="quantized folder")
    one.add_argument("-o", "--out", type=Path, required=True, help="folder to create")
    one.add_argument("--original", help="the model that FOLDER was made from (default: its source)")
    one.add_argument("--steps", type=_at_least(1), default=160, help="one window each (160)")
    one.add_argument("--rate", type=float, default=3e-3, help="largest relative step of a scale (0.003)")
    one.add_argument("--windows", type=_at_least(1), default=64, help="windows of text (64)")
    one.add_argument("--context", type=_at_least(2), default=512, help="tokens a window (512)")
    one.add_argument("--seed", type=_at_least(0), default=0, help="of the order of windows")
    one.add_argument("--text", type=Path, help="text, UTF-8 (default: embedded Wikipedia)")
    one.add_argument("--autocast", action="store_true", help="products in bfloat16: faster where supported")
    one.add_argument(
        "--force", action="store_true", help="replace OUT, and unfinished work with other settings"
    )


def _evaluation_options(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--eval-windows", type=_at_least(0), default=8, help=f"{what} (8)")
