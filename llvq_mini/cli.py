"""The `llvq` command: quantize, tune, eval, generate, inspect, export, demo, bench.

    llvq quantize MODEL -o OUT --bits 2      MODEL: a Hugging Face folder, a Hub id, or smollm2-135m; --dry-run plans
                                             only; after Ctrl-C or a crash the same command goes on; JSON last
    llvq tune OUT -o BETTER                  row scales and norms by distillation from the original, the same codes;
                                             goes on after Ctrl-C like quantize
    llvq eval OUT                            perplexity, and excess over the original, into OUT/report.json
    llvq generate OUT "prompt"
    llvq inspect OUT                         verify every checksum and show the report
    llvq export OUT --to dense               an ordinary Hugging Face folder with the decoded weights
    llvq demo                                quantize the embedded model if need be, and let it talk
    llvq bench rd                            measure distortion against rate of every code, go on after Ctrl-C

Exit codes: 0 done; 1 something is wrong with a model, a file or the machine; 2 a wrong argument; 130 Ctrl-C.
Errors are one sentence on stderr. Results go to stdout, progress to stderr.

What this file does not do: decide anything; it parses, calls and prints. Tests: ``tests/test_cli.py``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .arguments import parser
from .errors import LLVQError
from .progress import shown, stoppable


def _text(path: Path | None, default: Any) -> str:
    """The contents of a text file, or the default text."""
    if path is None:
        return str(default())
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LLVQError(f"The text '{path}' cannot be read ({error}); give a UTF-8 file") from error


def _quantize(arguments: argparse.Namespace) -> None:
    from . import embedded
    from .export import write_card
    from .pipeline import Settings, quantize
    from .report import add_to_report, layer_table, provenance, read_report, summary_json, summary_lines

    chosen: dict[str, Any] = {
        key: getattr(arguments, key) for key in ("bits", "codebook", "context", "seed", "sequential", "passes")
    }
    if arguments.windows is not None:
        chosen["windows"] = arguments.windows
    settings = Settings(**chosen)
    settings.make_codebook()
    if arguments.dry_run:
        _plan(arguments, settings)
        return
    text = _text(arguments.text, embedded.calibration_text) if arguments.text else None
    with shown() as step, stoppable(step) as stopping:
        done = quantize(
            arguments.model,
            arguments.out,
            settings,
            text=text,
            force=arguments.force,
            on_step=stopping,
            device=arguments.device,
        )
    if "provenance" not in done.report:
        add_to_report(arguments.out, "provenance", provenance())
    _print(layer_table(read_report(arguments.out)))
    if arguments.eval_windows:
        arguments.folder, arguments.baseline, arguments.text = arguments.out, None, None
        _evaluate(arguments, quiet=True)
    write_card(arguments.out)
    for line in summary_lines(read_report(arguments.out)):
        print(line)
    print(f"{arguments.out} is complete")
    print(summary_json(read_report(arguments.out), arguments.out))


def _tune(arguments: argparse.Namespace) -> None:
    from . import embedded
    from .export import write_card
    from .finetune import TuneSettings
    from .report import summary_json, summary_lines
    from .tuning import tune_folder

    settings = TuneSettings(arguments.steps, arguments.rate, seed=arguments.seed, autocast=arguments.autocast)
    text = _text(arguments.text, embedded.calibration_text) if arguments.text else None
    sizes = (arguments.windows, arguments.context)
    with shown() as step, stoppable(step) as stopping:
        report = tune_folder(
            arguments.folder,
            arguments.out,
            settings,
            text,
            *sizes,
            original=arguments.original,
            force=arguments.force,
            on_step=stopping,
        )
    write_card(arguments.out)
    for line in summary_lines(report):
        print(line)
    print(f"{arguments.out} is complete")
    print(summary_json(report, arguments.out))


def _plan(arguments: argparse.Namespace, settings: Any) -> None:
    from .plan import plan, plan_lines
    from .stream import open_source

    made = plan(open_source(arguments.model), settings)
    for line in plan_lines(made):
        print(line)
    print(json.dumps({"model": arguments.model, **made}))


def _evaluate(arguments: argparse.Namespace, quiet: bool = False) -> None:
    from . import embedded
    from .evaluate import evaluate
    from .hf import load
    from .manifest import read_settings
    from .models import load_source, token_windows
    from .report import add_to_report, evaluation_lines

    if not arguments.eval_windows:
        raise ValueError("Argument '--eval-windows' must be at least 1 to evaluate, got 0")
    text = _text(arguments.text, embedded.evaluation_text)
    model, tokenizer = load(arguments.folder, "dense")
    windows = token_windows(tokenizer, text, arguments.context, arguments.eval_windows)
    name = arguments.baseline or read_settings(arguments.folder)["source"]
    baseline = None if name == "none" else load_source(name).model
    with shown() as step:
        result = evaluate(model, windows, baseline, step)
    result["baseline"] = None if baseline is None else name
    add_to_report(arguments.folder, "evaluation", result)
    if not quiet:
        for line in evaluation_lines(result):
            print(line)


def _generate(arguments: argparse.Namespace) -> None:
    from .evaluate import generate
    from .hf import load
    from .models import MANIFEST, load_source

    if (Path(arguments.folder) / MANIFEST).exists():
        model, tokenizer = load(arguments.folder, arguments.mode)
    else:
        source = load_source(arguments.folder)
        model, tokenizer = source.model, source.tokenizer
    options = (arguments.max_new_tokens, arguments.temperature, arguments.seed, arguments.chat)
    print(generate(model, tokenizer, arguments.prompt, *options))


def _inspect(arguments: argparse.Namespace) -> None:
    from . import store
    from .report import layer_table, read_report, summary_lines

    checkpoint = store.load(arguments.folder)
    report = read_report(arguments.folder)
    report["measured"] = store.measured_bits(arguments.folder)
    _print(layer_table(report))
    for line in summary_lines(report):
        print(line)
    count = len(checkpoint.tensors) + 2 * len(checkpoint.linears)
    print(f"made from {checkpoint.settings['source']}; all {count} tensors match their checksums")


def _export(arguments: argparse.Namespace) -> None:
    from .export import to_dense

    folder = arguments.folder
    out = arguments.out or folder.with_name(folder.name + "-dense")
    print(f"{to_dense(folder, out, arguments.dtype, arguments.force)} is complete")


_DEMO_PROMPTS = ("The capital of France is", "Once upon a time, there was a", "Water boils at")


def _demo(arguments: argparse.Namespace) -> None:
    from . import cached, embedded
    from .evaluate import generate
    from .hf import load
    from .models import load_source
    from .report import layer_table, summary_lines

    out = arguments.out or embedded.cache_folder() / f"{embedded.NAME}-2bit"
    with shown() as step:
        report, reason = cached.quantized(embedded.NAME, out, on_step=step)
    print(f"{out}: quantized, because {reason}" if reason else f"{out}: made earlier, verified, used again")
    _print(layer_table(report))
    for line in summary_lines(report):
        print(line)
    quantized, tokenizer = load(out, "dense")
    source = load_source(embedded.NAME)
    for prompt in _DEMO_PROMPTS:
        print(f"\n> {prompt}")
        print(f"  original: {_one_line(generate(source.model, source.tokenizer, prompt, 30))}")
        print(f"  2 bits:   {_one_line(generate(quantized, tokenizer, prompt, 30))}")
    if not sys.stdin.isatty():
        return
    print("\nType the beginning of a text; an empty line ends.")
    with suppress(EOFError):
        while prompt := input("> "):
            print(generate(quantized, tokenizer, prompt, 60, temperature=0.7))


def _bench(arguments: argparse.Namespace) -> None:
    from . import bench

    try:
        with shown() as step:
            found = bench.run(arguments.out, arguments.quick, step)
    except KeyboardInterrupt:
        print("llvq: What is measured is kept; the same command goes on from there", file=sys.stderr)
        raise
    name = "rd-quick" if arguments.quick else "rd"
    print((arguments.out / f"{name}.md").read_text(encoding="utf-8"))
    try:
        from .rd_plots import gaps
    except ModuleNotFoundError:
        print(
            "There is no figure: matplotlib is not installed; pip install 'llvq_mini[book]' helps",
            file=sys.stderr,
        )
    else:
        gaps(found).savefig(arguments.out / f"{name}.svg", metadata={"Date": None})
    print(f"{arguments.out / name}.json holds {len(found['points'])} points")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _print(renderable: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 110).print(renderable)


_COMMANDS = {
    "quantize": _quantize,
    "tune": _tune,
    "eval": _evaluate,
    "generate": _generate,
    "inspect": _inspect,
    "export": _export,
    "demo": _demo,
    "bench": _bench,
}


def _terminated(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code and never shows a traceback for a foreseeable error."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        _COMMANDS[arguments.command](arguments)
    except LLVQError as error:
        return _fail(str(error), 1)
    except ValueError as error:
        return _fail(str(error), 2)
    except MemoryError:
        return _fail("The memory does not suffice; use fewer calibration windows or a smaller model", 1)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second signal must not disturb the way out
            signal.signal(number, signal.SIG_IGN)
        return _fail(f"Interrupted{_left_behind(arguments)}", 130)
    return 0


def _left_behind(arguments: argparse.Namespace) -> str:
    """What an interrupted command left, as the end of a sentence."""
    out = getattr(arguments, "out", None)
    if out is None or arguments.command == "bench":
        return ""
    partial = out.with_name(f"{out.name}.partial")
    if (partial / "work.json").exists():
        return f"; '{partial}' holds the unfinished work, the same command continues it"
    return "" if out.exists() else f"; '{out}' was not written"


def _fail(message: str, code: int) -> int:
    print(f"llvq: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
