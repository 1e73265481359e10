"""Ways to quantize one linear of the embedded model: what llm_rivals.py and llm_ablation.py compare.

An arm turns a `Matrix` (weight, calibration statistics, rotation seed) into a dense matrix and the bits that storing
it takes: codes, scales, and whatever else its decoder needs for this matrix. All arms of a kind share the statistics:

    plain   E[x x^T]
    sink    the same, plus 4 E[x_0 x_0^T] for value projections: what the library does
    fisher  half E[x x^T], half weighted by the squared gradient at the output (sensitivity.py)
    values  fisher for value projections, plain for the others

Rotations are an arm's own affair: `leech` and the other block codes rotate the input side as the library does; "none"
and "both" are made by rotating matrix and Hessian around the library's rotation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from llvq_mini import gain
from llvq_mini.allocate import allocate, predicted_loss
from llvq_mini.baselines.e8 import E8P, e8p_residual
from llvq_mini.baselines.gptq import quantize_groups
from llvq_mini.baselines.residual import residual_kmeans
from llvq_mini.baselines.tiled import Tiled
from llvq_mini.baselines.trellis import Trellis
from llvq_mini.catalogue import two_stage
from llvq_mini.codebook import ShapeGain, Tapered
from llvq_mini.codes import VariableRate
from llvq_mini.entropy_leech import EntropyLeech
from llvq_mini.feedback import factorize, greedy_order, pad_hessian
from llvq_mini.hessian import DAMPING, SINK_WEIGHT, damped
from llvq_mini.interlocked import CAPS_BY_BITS, Interlocked
from llvq_mini.layer import Prepared, QuantizedLinear, prepare, prepare_output, quantize_linear
from llvq_mini.rotate import Rotation
from llvq_mini.sensitivity import Sensitivity
from llvq_mini.spherical_gptq import kept_norms, shared_norms

MIXED = [lambda: Interlocked(CAPS_BY_BITS[36]), Tapered, lambda: Interlocked(CAPS_BY_BITS[60])]
OUTPUT_SEED = 0x5EED  # added to the input side's seed for a rotation of the output side


@dataclass(frozen=True)
class Matrix:
    """One linear: weight float32 (out, in); plain E[x x^T] and first E[x_0 x_0^T], float64 (in, in); a seed for its
    rotation; its Fisher traces where an arm has asked for them.
    """

    name: str
    weight: np.ndarray
    plain: np.ndarray
    first: np.ndarray
    seed: int
    sensitivity: Sensitivity | None = None

    @property
    def traces(self) -> Sensitivity:
        """The Fisher traces, which must be there."""
        if self.sensitivity is None:
            raise ValueError(f"The arm needs Fisher traces of '{self.name}'; declare it with fisher=True")
        return self.sensitivity

    def hessian(self, kind: str) -> np.ndarray:
        """The input statistics by name."""
        value = self.name.endswith("v_proj")
        if kind == "fisher" or (kind == "values" and value):
            return self.traces.hessian(self.plain)
        return self.plain + SINK_WEIGHT * self.first if kind == "sink" and value else self.plain


@dataclass(frozen=True)
class Quantized:
    """Dense float32 (out, in), stored bits, and for the library's own format the arrays of a QuantizedLinear."""

    dense: np.ndarray
    bits: int
    codes: np.ndarray | None = None
    row_scale: np.ndarray | None = None


@dataclass(frozen=True)
class Arm:
    """A method by name. plan: from all matrices to what quantizes one (most methods need not see the others). spec:
    the codebook's for arms in the library's own format. tune_steps: of scale fine-tuning afterwards. fisher: whether
    it needs the backward pass.
    """

    name: str
    text: str
    plan: Callable[[Iterable[Matrix]], Callable[[Matrix], Quantized]]
    spec: Callable[[], dict[str, Any]] | None = None
    tune_steps: int = 0
    fisher: bool = False


def alone(run: Callable[[Matrix], Quantized]) -> Callable[[Iterable[Matrix]], Callable[[Matrix], Quantized]]:
    """The plan of a method that looks at one matrix at a time."""
    return lambda matrices: run


def mixed(makes: list[Callable[[], Any]], budget: float) -> Callable[..., Callable[[Matrix], Quantized]]:
    """The plan that gives every linear one of several codebooks, by predicted loss, at an average of `budget` bits."""

    def plan(matrices: Iterable[Matrix]) -> Callable[[Matrix], Quantized]:
        sample = np.random.default_rng(0).standard_normal((4000, 24)).astype(np.float32)
        errors, methods = {}, {}
        for make in makes:
            book = make()
            rate = book.bits_per_weight
            errors[rate] = float(np.square(sample - book.decode(book.encode(sample))).mean())
            methods[rate] = blocks(make)
        losses, sizes = {}, {}
        for matrix in matrices:
            columns = Rotation(matrix.weight.shape[1], matrix.seed)
            statistics = matrix.hessian("sink") / np.trace(matrix.hessian("sink"))
            full, _ = damped(columns.conjugate(statistics), DAMPING)
            unit = predicted_loss(matrix.weight, matrix.traces.outputs, factorize(pad_hessian(full)).noise)
            losses[matrix.name] = [(rate, error * unit) for rate, error in errors.items()]
            sizes[matrix.name] = matrix.weight.size
        rates = allocate(losses, sizes, budget)
        return lambda matrix: methods[rates[matrix.name]](matrix)

    return plan


def blocks(
    make: Callable[[], Any],
    hessian: str = "sink",
    damping: float = DAMPING,
    rotation: str = "input",
    feedback: bool = True,
    refit: bool = True,
    output: bool = False,
    unit: int = 1,
    order: Callable[[np.ndarray, int], np.ndarray] | None = None,
    passes: int = 0,
) -> Callable[[Matrix], Quantized]:
    """An arm's method from a codebook and the steps around it; the codebook is made once, when it is first needed."""
    made: list[Any] = []

    def run(matrix: Matrix) -> Quantized:
        book = made[0] if made else made.append(make()) or made[0]
        weight, statistics = matrix.weight, matrix.hessian(hessian)
        columns = Rotation(weight.shape[1], matrix.seed)
        rows = Rotation(weight.shape[0], matrix.seed + OUTPUT_SEED)
        if rotation == "none":  # the library's rotation takes back what is done here
            weight = columns.inverse(weight)
            statistics = columns.inverse(columns.inverse(statistics).T.copy())
        if rotation == "both":
            weight = rows.apply(weight.T.copy()).T.copy()
        metric = prepare_output(matrix.traces.metric(), unit=unit) if output else None
        prepared = prepare(statistics, matrix.seed, book.dim, damping, order)
        linear, report = quantize_linear(
            weight, prepared, book, matrix.name, feedback=feedback, refit=refit, output=metric, passes=passes
        )
        dense = _dense(linear) if isinstance(book, Tiled) else linear.dequantize()
        if rotation == "none":
            dense = columns.apply(dense)
        if rotation == "both":
            dense = rows.inverse(dense.T.copy()).T.copy()
        bits = report.bits
        if isinstance(book, VariableRate):
            bits = 8 * (len(book.compress(linear.block_codes())) + linear.row_scale.nbytes)
        own = rotation == "input"
        return Quantized(dense, bits, linear.codes if own else None, linear.row_scale if own else None)

    return run


def _dense(linear: QuantizedLinear) -> np.ndarray:
    """What `linear.dequantize()` would be for a code whose words go down the rows of a block of columns."""
    rows, width = linear.shape
    down = linear.block_codes().reshape(rows, -1).T
    values = linear.codebook.decode(down.ravel()).reshape(*down.shape, -1).swapaxes(0, 1).reshape(rows, -1)
    scaled = values[:, :width] * linear.row_scale.astype(np.float32)[:, None]
    return Rotation(width, linear.seed).inverse(scaled)


def spherical(quantize: Callable[[np.ndarray, Prepared], QuantizedLinear]) -> Callable[[Matrix], Quantized]:
    """Spherical GPTQ with the statistics and rotation that `blocks` has by default."""

    def run(matrix: Matrix) -> Quantized:
        linear = quantize(matrix.weight, prepare(matrix.hessian("sink"), matrix.seed))
        return Quantized(linear.dequantize(), linear.bits, linear.codes, linear.row_scale)

    return run


def spherical_gain(max_shell: int, gain_bits: int) -> Callable[[Matrix], Quantized]:
    """Spherical GPTQ whose norms end on the levels of a shape-gain code, at the code's own rate."""

    def run(matrix: Matrix) -> Quantized:
        return spherical(partial(shared_norms, book=_shape_gain(max_shell, gain_bits)))(matrix)

    return run


_shape_gain = cache(ShapeGain)


class NormGain(ShapeGain):
    """The shape-gain code with its gain chosen by the block's norm, levels Lloyd-Max for a Gaussian block's norm.

    Its codes decode like those of the code that it comes from, with other levels.
    """

    def __init__(self, max_shell: int = 12, gain_bits: int = 1) -> None:
        super().__init__(max_shell, gain_bits, gain.lloyd_max(np.ones(1), gain_bits))

    def encode(self, x: Any) -> np.ndarray:
        """Codes of blocks (n, 24): uint64[n]."""
        low = np.uint64(self.bits - self.gain_bits)
        shape = super().encode(x) & ((np.uint64(1) << low) - np.uint64(1))
        level = np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, np.linalg.norm(x, axis=1))
        return shape | level.astype(np.uint64) << low


def by_diagonal(hessian: np.ndarray, dim: int) -> np.ndarray:
    """Blocks by falling diagonal mass: GPTQ's "act-order" for blocks."""
    return np.argsort(-np.diag(hessian).reshape(-1, dim).sum(axis=1), kind="stable")


def groups(bits: int, hessian: str | None) -> Callable[[Matrix], Quantized]:
    """Round-to-nearest (no Hessian) or GPTQ in groups of 64."""

    def run(matrix: Matrix) -> Quantized:
        metric = None if hessian is None else damped(matrix.hessian(hessian), DAMPING)[0]
        grouped = quantize_groups(matrix.weight, bits, metric)
        return Quantized(grouped.dequantize(), grouped.bits)

    return run


def _trellis(bits: int, states: int, code: str = "lut") -> Callable[[], Tiled]:
    return lambda: Tiled(Trellis(bits, states, code))


def rivals() -> list[Arm]:
    """Other methods, at 2, 3 and 4 bits, with the same statistics and where possible the same feedback."""
    arms = []
    for bits in (2, 3, 4):
        arms += [
            Arm(f"rtn-{bits}", f"round to nearest, {bits} bits in groups of 64", alone(groups(bits, None))),
            Arm(
                f"gptq-{bits}", f"GPTQ, {bits} bits in groups of 64, act-order", alone(groups(bits, "plain"))
            ),
            Arm(f"gptq-{bits}-sink", f"GPTQ, {bits} bits, knowing the sink", alone(groups(bits, "sink"))),
            Arm(
                f"trellis12-{bits}",
                f"trellis L = 12, {bits} bits",
                alone(blocks(_trellis(bits, 12), unit=16)),
            ),
        ]
    arms += [
        Arm("e8p-2", "E8P, 2 bits, same rotation and feedback", alone(blocks(E8P))),
        Arm("e8p-3", "E8P in two stages, 3 bits", alone(blocks(lambda: e8p_residual(3)))),
        Arm("e8p-4", "E8P in two stages, 4 bits", alone(blocks(lambda: e8p_residual(4)))),
        Arm(
            "residual-2", "residual k-means, two lists of 256 in 8 dimensions", alone(blocks(residual_kmeans))
        ),
        Arm("trellis16-2", "trellis 3INST, L = 16, 2 bits", alone(blocks(_trellis(2, 16, "3inst"), unit=16))),
        Arm("leech-2", "Leech tapered, 2 bits", alone(blocks(Tapered)), lambda: Tapered().spec()),
        Arm("leech-3", "Leech in two stages, 3 bits", alone(blocks(lambda: two_stage(72)))),
        Arm("leech-4", "Leech in two stages, 4 bits", alone(blocks(lambda: two_stage(96)))),
        Arm(
            "entropy-2",
            "entropy-coded Leech points, 2 bits on average",
            alone(blocks(lambda: EntropyLeech(2.0))),
        ),
    ]
    return arms


def ablation() -> list[Arm]:
    """The library's method with one thing changed at a time."""

    def leech(
        name: str,
        text: str,
        make: Callable[[], Any] = Tapered,
        tune: int = 0,
        fisher: bool = False,
        **options: Any,
    ) -> Arm:
        return Arm(name, text, alone(blocks(make, **options)), lambda: make().spec(), tune, fisher)

    return [
        leech("no-rotation", "no rotation", rotation="none"),
        leech("both-rotations", "input and output rotations", rotation="both"),
        leech("no-feedback", "every block rounded on its own", feedback=False),
        leech("no-refit", "row scales from the row's norm only", refit=False),
        leech("plain", "E[x x^T] without regard to the sink", hessian="plain"),
        leech("fisher", "half Fisher statistics everywhere", fisher=True, hessian="fisher"),
        leech("fisher-values", "half Fisher statistics for value projections", fisher=True, hessian="values"),
        leech("two-sided", "feedback between rows as well, by the Fisher metric", fisher=True, output=True),
        leech("damping-0.1", "damping 0.1 instead of 0.01", damping=0.1),
        leech("act-order", "blocks rounded by falling diagonal mass", order=by_diagonal),
        leech("greedy-order", "blocks rounded in the order that feedback prefers", order=greedy_order),
        leech("descent-1", "a pass of coordinate descent after the sweep", passes=1),
        leech("descent-3", "greedy order, then three passes", order=greedy_order, passes=3),
        leech("gain-0", "shells 2-13, no gain bit", lambda: ShapeGain(13, 0)),
        leech("gain-1", "shells 2-12, one gain bit", lambda: ShapeGain(12, 1)),
        leech("gain-2", "shells 2-11, two gain bits", lambda: ShapeGain(11, 2)),
        leech("norm-gain", "shells 2-12, one gain bit, coded by the norm of a block", NormGain),
        Arm(
            "norms-kept",
            "shells 2-13 and every block's norm in 16 bits, kept through the sweep",
            alone(spherical(partial(kept_norms, refit=False))),
        ),
        Arm("spherical", "Spherical GPTQ: the same, norms refitted", alone(spherical(kept_norms))),
        *(
            Arm(
                f"spherical-gain-{bits}",
                f"Spherical GPTQ at 48 bits, shells 2-{shell} and {bits} gain bits shared by all blocks",
                alone(spherical_gain(shell, bits)),
            )
            for shell, bits in ((12, 1), (11, 2))
        ),
        leech("interlocked", "interlocked spheres, 48 bits", Interlocked),
        leech(
            "interlocked-descent",
            "interlocked spheres, 48 bits, greedy order, a pass of descent",
            Interlocked,
            order=greedy_order,
            passes=1,
        ),
        leech("bits-1.5", "interlocked spheres, 36 bits", lambda: Interlocked(CAPS_BY_BITS[36])),
        leech("bits-2.5", "interlocked spheres, 60 bits", lambda: Interlocked(CAPS_BY_BITS[60])),
        Arm("mixed", "1.5, 2 or 2.5 bits by predicted loss, 2 on average", mixed(MIXED, 2.0), fisher=True),
        leech("tuned", "leech-2 and scale fine-tuning", tune=160),
    ]
