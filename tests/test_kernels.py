"""The CUDA kernels, run on the CPU by kernels/host_shim.h, against the library: integers and decoded weights bit for
bit, sums within the bounds that the kernels state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from adversarial import blocks as adversarial_blocks

from llvq_mini import gain, golay, gpu, gpu_tables, index, pack, search
from llvq_mini._index_tables import tables
from llvq_mini.baselines.scalar import LloydMax
from llvq_mini.codebook import Ball, ShapeGain, SingleShell, Tapered
from llvq_mini.errors import LLVQError
from llvq_mini.host import HostMachine, library
from llvq_mini.layer import QuantizedLinear
from llvq_mini.rotate import Rotation

CODEBOOKS = {
    "tapered": Tapered(levels=np.linspace(3.0, 6.5, 6)),
    "shape-gain": ShapeGain(12, 1, levels=[4.3, 5.4]),
    "eight gains": ShapeGain(5, 3, levels=np.linspace(2, 7, 8)),
    "ball 13": Ball(13, scale=0.35),
    "ball 19": Ball(19, scale=0.25),
    "one shell": SingleShell(3, 0, levels=[4.7]),
    "far shell": SingleShell(13, 2, levels=[3.0, 4.0, 5.0, 6.0]),
    "all shells": Ball(31, scale=0.2),
}


@pytest.fixture
def machine():
    return HostMachine(library())


def valid_codes(codebook, rng: np.random.Generator, n: int) -> np.ndarray:
    """Random codes, and the first and last code of every gain."""
    start, limits, _, cap = gpu_tables.codes_of(codebook)
    if isinstance(codebook, Tapered):
        sizes = np.array([index.size(c) - 1 for c in codebook.caps])
    else:
        sizes = np.full(len(start), index.size(cap) - limits[0])
    gains = rng.integers(0, len(start), n)
    inside = (rng.random(n) * sizes[gains]).astype(np.int64)
    small = rng.integers(0, np.minimum(sizes[gains], 1 + (1 << rng.integers(1, 40, n))))  # near shells, too
    return np.concatenate([start, start + sizes - 1, start[gains] + inside, start[gains] + small]).astype(
        np.uint64
    )


def values(codebook, points: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """What Codebook.decode makes of lattice points and numbers of gains."""
    if isinstance(codebook, Ball):
        return points.astype(np.float32) * np.float32(codebook.scale)
    return gain.scaled_directions(points, codebook.levels[levels])


def random_layer(codebook, rows: int, width: int, seed: int = 5) -> QuantizedLinear:
    rng = np.random.default_rng([rows, width, seed])
    codes = rng.choice(valid_codes(codebook, rng, 2000), rows * -(-width // 24))
    scale = (0.02 * rng.lognormal(size=rows)).astype(np.float16)
    scale[:2] = [0, 6e-8][: len(scale)]  # nothing, and the smallest number of fp16
    return QuantizedLinear(pack.pack(codes, codebook.bits), scale, (rows, width), seed, codebook)


def in_rotated_coordinates(layer: QuantizedLinear) -> np.ndarray:
    """QuantizedLinear.dequantize without its last step."""
    rows, width = layer.shape
    codes = pack.unpack(layer.codes, layer.codebook.bits, rows * -(-width // 24))
    return (
        layer.codebook.decode(codes).reshape(rows, -1)[:, :width]
        * layer.row_scale.astype(np.float32)[:, None]
    )


# ---------------------------------------------------------------------------------------------------- decoding


@pytest.mark.parametrize("name", CODEBOOKS)
def test_points_and_gains_are_those_of_the_library(machine, name):
    codebook = CODEBOOKS[name]
    codes = valid_codes(codebook, np.random.default_rng(1), 3000)
    points, levels = gpu.decode_points(pack.pack(codes, codebook.bits), len(codes), codebook, machine)
    np.testing.assert_array_equal(values(codebook, points, levels), codebook.decode(codes))


def test_every_point_of_shell_2(machine):
    codebook = Ball(3, scale=1.0)
    codes = np.arange(index.size(2), dtype=np.uint64)
    points, _ = gpu.decode_points(pack.pack(codes, codebook.bits), len(codes), codebook, machine)
    np.testing.assert_array_equal(points, index.decode(codes, 3))


@pytest.mark.slow
def test_every_point_of_shell_3(machine):
    codebook, chunk = SingleShell(3, 0, levels=[1.0]), 1 << 20
    for first in range(0, codebook._points, chunk):
        codes = np.arange(first, min(first + chunk, codebook._points), dtype=np.uint64)
        points, _ = gpu.decode_points(pack.pack(codes, 24), len(codes), codebook, machine)
        assert (points == index.decode(codes + np.uint64(index.size(2)), 3)).all()


@pytest.mark.parametrize("n", [1, 2, 31, 33, 255, 256, 257, 1025])
def test_odd_counts_of_codes(machine, n):
    codebook = CODEBOOKS["tapered"]
    codes = valid_codes(codebook, np.random.default_rng(n), n)[:n]
    points, levels = gpu.decode_points(pack.pack(codes, 48), n, codebook, machine)
    np.testing.assert_array_equal(values(codebook, points, levels), codebook.decode(codes))


@pytest.mark.parametrize("shared", [48 << 10, 200 << 10])
def test_tables_are_read_in_place_where_shared_memory_is_small(shared):
    machine, codebook = HostMachine(library(), shared_bytes=shared), CODEBOOKS["tapered"]
    assert (gpu.Tables.put(gpu_tables.tables_of(codebook), machine).shared > 0) == (shared > 100 << 10)
    codes = valid_codes(codebook, np.random.default_rng(2), 500)
    points, levels = gpu.decode_points(pack.pack(codes, 48), len(codes), codebook, machine)
    np.testing.assert_array_equal(values(codebook, points, levels), codebook.decode(codes))


def test_tables_are_the_arrays_of_the_library_byte_for_byte():
    blob = gpu_tables.tables_of(CODEBOOKS["tapered"])
    header = blob[: 4 * gpu_tables.HEADER].view(np.int32)
    theirs = tables(12)._asdict() | {"golay": golay.WORDS}
    for slot, name in enumerate(gpu_tables.ARRAYS):
        assert header[slot] % 16 == 0
        if name in theirs:
            raw = theirs[name].tobytes()
            assert blob[header[slot] : header[slot] + len(raw)].tobytes() == raw
    assert header[gpu_tables.STAGED] == len(blob) < 120 << 10


def test_swapping_two_rows_of_a_table_shows(machine, monkeypatch):
    codebook = CODEBOOKS["tapered"]
    codes = valid_codes(codebook, np.random.default_rng(3), 2000)
    good = gpu_tables.tables_of(codebook)
    for name, row, size in (
        ("quad", 1, 4),
        ("golay", 1, 4),
        ("order", 3, 4),
        ("words", 1, 2),
    ):
        bad = good.copy()
        at = bad[: 4 * gpu_tables.HEADER].view(np.int32)[gpu_tables.ARRAYS.index(name)]
        rows = bad[at + row * size : at + (row + 2) * size]
        rows[:] = np.roll(rows, size)
        monkeypatch.setattr(gpu_tables, "tables_of", lambda _, bad=bad: bad)
        points, levels = gpu.decode_points(pack.pack(codes, 48), len(codes), codebook, machine)
        assert (values(codebook, points, levels) != codebook.decode(codes)).any(), name


def test_damaged_codes_stay_inside_the_tables(machine):
    codebook = CODEBOOKS["shape-gain"]
    codes = np.full(64, (1 << 48) - 1, dtype=np.uint64)
    points, _ = gpu.decode_points(pack.pack(codes, 48), len(codes), codebook, machine)
    last = index.decode(np.array([index.size(12) - 1], dtype=np.uint64), 12)
    np.testing.assert_array_equal(points, np.repeat(last, 64, axis=0))


def test_other_codebooks_are_refused():
    with pytest.raises(ValueError, match="must be a Leech code .* got LloydMax"):
        gpu_tables.tables_of(LloydMax(2))


# ---------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(("rows", "width"), [(3, 96), (1, 24), (7, 100), (5, 23), (2, 49), (40, 64)])
@pytest.mark.parametrize("name", ["tapered", "ball 13"])
def test_weights_in_three_precisions(machine, name, rows, width):
    layer = random_layer(CODEBOOKS[name], rows, width)
    matrix, want = gpu.Matrix(layer, machine), in_rotated_coordinates(layer)
    np.testing.assert_array_equal(matrix.rotated_weights(), want)
    np.testing.assert_array_equal(matrix.rotated_weights("float16"), want.astype(np.float16))
    bfloat = torch.from_numpy(want).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    np.testing.assert_array_equal(matrix.rotated_weights("bfloat16"), bfloat)


def test_half_conversion_of_the_shim_is_ieee(machine):
    """Scales of every size turn 1 into every half, subnormal ones included."""
    codebook, rows = Ball(2, scale=1.0), 4096
    scale = np.random.default_rng(4).permutation(np.arange(1, 31744, dtype=np.uint16))[:rows].view(np.float16)
    codes = np.random.default_rng(5).integers(0, index.size(2), rows).astype(np.uint64)
    layer = QuantizedLinear(pack.pack(codes, codebook.bits), scale, (rows, 24), 0, codebook)
    with np.errstate(over="ignore"):
        want = in_rotated_coordinates(layer).astype(np.float16)
    np.testing.assert_array_equal(gpu.Matrix(layer, machine).rotated_weights("float16"), want)


def test_precision_must_be_known(machine):
    with pytest.raises(ValueError, match="'dtype' must be one of float32, float16, bfloat16, got 'int8'"):
        gpu.Matrix(random_layer(CODEBOOKS["ball 13"], 2, 24), machine).rotated_weights("int8")


# ---------------------------------------------------------------------------------------------------- rotation


@pytest.mark.parametrize("order", [0, 1, 7])
@pytest.mark.parametrize("width", [1, 2, 64, 1024, 3, 24, 100, 576, 513])
def test_rotation(width, order):
    rotation = Rotation(width, seed=(1 << 64) - 59)
    x = np.random.default_rng(width).standard_normal((3, width)).astype(np.float32)
    rotator = gpu.Rotator(rotation, HostMachine(library(), order))
    for got, want in ((rotator.rows(x), rotation.apply(x)), (rotator.rows(x, True), rotation.inverse(x))):
        if width & (width - 1) == 0:  # no dense factor: the same additions in the same order
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(got, want, atol=1e-6 * width**0.5)


def test_rows_too_long_for_shared_memory(machine):
    with pytest.raises(LLVQError, match="Rotating rows of 65536 needs 262272 bytes of shared memory"):
        gpu.Rotator(Rotation(65536, 0), machine)


@pytest.mark.parametrize("width", [64, 100, 4, 576])
def test_fixed_point_activations(machine, width):
    rotation = Rotation(width, seed=3)
    x = np.random.default_rng(width).standard_normal((4, width)).astype(np.float32)
    x[2] = 0
    planes, step = gpu.Rotator(rotation, machine).fixed(x)
    as_bytes = planes.view(np.int8).reshape(4, -1, 2, 24).astype(np.int64)
    q = (256 * as_bytes[:, :, 0] + as_bytes[:, :, 1]).reshape(4, -1)
    assert not q[:, width:].any() and not q[2].any() and step[2] == 0
    y = rotation.apply(x)
    assert (np.abs(q).max(axis=1)[[0, 1, 3]] == 32512).all()
    assert (np.abs(q[:, :width] * step[:, None].astype(np.float64) - y) <= 0.501 * step[:, None] + 1e-9).all()


@pytest.mark.parametrize(("rows", "width", "name"), [
    (9, 256, "tapered"), (33, 100, "tapered"), (3, 1024, "shape-gain"), (5, 23, "ball 13"), (64, 800, "tapered"),
    (17, 72, "one shell"),
])  # fmt: skip
def test_weights_of_a_layer(machine, rows, width, name):
    layer = random_layer(CODEBOOKS[name], rows, width)
    got, want = gpu.Matrix(layer, machine).weights(), layer.dequantize()
    if width & (width - 1) == 0:
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(got, want, atol=1e-6 * np.abs(want).max())


# ---------------------------------------------------------------------------------------------------- matvec


@pytest.mark.parametrize(("batch", "rows", "width", "name"), [
    (1, 9, 256, "tapered"), (1, 33, 100, "tapered"), (2, 5, 1024, "shape-gain"), (3, 5, 23, "ball 13"),
    (4, 64, 24, "ball 13"), (5, 7, 800, "tapered"), (7, 3, 49, "one shell"), (8, 38, 72, "far shell"),
])  # fmt: skip
def test_matvec_stays_within_its_bound(machine, batch, rows, width, name):
    layer = random_layer(CODEBOOKS[name], rows, width)
    x = np.random.default_rng(batch).standard_t(3, (batch, width)).astype(np.float32)
    y = gpu.Matrix(layer, machine).matvec(x)
    assert y.shape == (batch, rows) and y.dtype == np.float32
    weights = in_rotated_coordinates(layer).astype(np.float64)
    rotated = Rotation(width, layer.seed).apply(x.astype(np.float64))
    step = np.abs(rotated).max(axis=1, keepdims=True) / 32512
    bound = step / 2 * np.abs(weights).sum(axis=1) + 1e-6 * (np.abs(rotated) @ np.abs(weights).T)
    error = np.abs(y - rotated @ weights.T)
    assert (error <= bound).all()
    assert error.max() > 0  # or the bound says nothing


def test_matvec_gives_the_same_bits_whatever_the_order_of_threads():
    layer = random_layer(CODEBOOKS["tapered"], 21, 312)
    x = np.random.default_rng(6).standard_normal((2, 312)).astype(np.float32)
    results = [gpu.Matrix(layer, HostMachine(library(), order)).matvec(x) for order in (0, 1, 2, 3)]
    results.append(gpu.Matrix(layer, HostMachine(library(), shared_bytes=48 << 10)).matvec(x))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("shape", [(9, 48), (0, 48), (1, 47), (48,)])
def test_matvec_refuses_other_shapes(machine, shape):
    matrix = gpu.Matrix(random_layer(CODEBOOKS["ball 13"], 2, 48), machine)
    with pytest.raises(ValueError, match=r"'x' must have shape \(1 ... 8, 48\)"):
        matrix.matvec(np.zeros(shape, dtype=np.float32))


# ---------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "high"), [(2, 12), (2, 2), (2, 13), (3, 3), (4, 19)])
def test_search_on_gaussian_blocks(machine, dtype, low, high):
    x = np.random.default_rng(high).standard_normal((60, 24)).astype(dtype)
    x[7] = 0
    got = gpu.nearest_direction(x, machine, high, low)
    np.testing.assert_array_equal(got, search.nearest_direction(x, high, low))


def test_search_on_adversarial_blocks(machine):
    for name, x in adversarial_blocks(np.random.default_rng(8), 6).items():
        got = gpu.nearest_direction(x, machine, 12)
        np.testing.assert_array_equal(got, search.nearest_direction(x, 12), err_msg=name)


def test_search_whatever_the_order_of_threads():
    x = np.random.default_rng(9).standard_normal((12, 24))
    want = search.nearest_direction(x, 13)
    for order in (1, 5):
        np.testing.assert_array_equal(gpu.nearest_direction(x, HostMachine(library(), order), 13), want)


def test_search_checks_its_shells(machine):
    with pytest.raises(ValueError, match="'max_shell' must be an integer in 2 ... 31, got 32"):
        gpu.nearest_direction(np.zeros((1, 24)), machine, 32)
