"""What a reader compares the Leech codes with: well-known quantizers behind the same Codebook protocol.

    scalar      one weight at a time: uniform and Lloyd-Max levels
    ecsq        one weight at a time at a variable rate, range-coded
    e8          the lattice E8: a ball, and QuIP#'s padded code with residual stages
    pyramid     PVQ: integer points on an l1 sphere, and a gain
    residual    learned lists: k-means, residual and additive vector quantization
    trellis     QTIP's bitshift trellis, tail-biting, 256 weights at a time
    binary      BSQ, LFQ and FSQ of image tokenizers

Each is written from its paper, in one file.  `from_spec` makes any of them anew from its description.
Tests: tests/test_baselines.py and one file a module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from llvq_mini import codebook
from llvq_mini.codebook import Codebook

_KINDS = {
    "interlocked": ("llvq_mini.interlocked", "Interlocked"),
    "voronoi": ("llvq_mini.voronoi", "Voronoi"),
    "entropy-leech": ("llvq_mini.entropy_leech", "EntropyLeech"),
    "uniform": ("scalar", "Uniform"),
    "Lloyd-Max": ("scalar", "LloydMax"),
    "ecsq": ("ecsq", "ECSQ"),
    "e8-ball": ("e8", "E8Ball"),
    "e8p": ("e8", "E8P"),
    "pyramid": ("pyramid", "Pyramid"),
    "list": ("residual", "PointList"),
    "additive": ("residual", "Additive"),
    "residual": ("residual", "Residual"),
    "trellis": ("trellis", "Trellis"),
    "tiled": ("tiled", "Tiled"),
    "bsq": ("binary", "BSQ"),
    "lfq": ("binary", "LFQ"),
    "fsq": ("binary", "FSQ"),
}


def from_spec(spec: dict[str, Any]) -> Codebook:
    """The codebook that `spec()` describes, from this package or any Leech code; ValueError for anything else."""
    if not isinstance(spec, dict) or spec.get("kind") not in _KINDS:
        return codebook.from_spec(spec)
    arguments = {key: value for key, value in spec.items() if key != "kind"}
    if spec["kind"] == "residual":
        arguments["stages"] = [from_spec(stage) for stage in arguments.get("stages", ())]
    if spec["kind"] == "tiled":
        arguments["trellis"] = from_spec(arguments.get("trellis", {}))
    module, name = _KINDS[spec["kind"]]
    try:
        return getattr(import_module(module if "." in module else f"{__name__}.{module}"), name)(**arguments)
    except TypeError as error:
        raise ValueError(f"Argument 'spec' does not describe a {spec['kind']} codebook: {error}.") from error
