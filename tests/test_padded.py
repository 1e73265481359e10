"""padded.py and kernels/padded.cuh: the order of a GPU holds the same points, and both orders give the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from mutants import fails
from test_kernels import CODEBOOKS, in_rotated_coordinates, random_layer, valid_codes

from llvq_mini import gpu, gpu_tables, index, pack, padded
from llvq_mini._index_tables import tables
from llvq_mini.codebook import ShapeGain, Tapered
from llvq_mini.host import HostMachine, library
from llvq_mini.layer import QuantizedLinear

PADDED = [name for name, codebook in CODEBOOKS.items() if gpu_tables.has_padded_order(codebook)]
DEFAULT = (0, 0, 6, 6, 6, 6, 6, 6, 6, 5, 4, 3, 2, 0, 0, 0)
"""Gains on the shells 0 ... 15 of the default code."""


@pytest.fixture
def machine():
    return HostMachine(library())


def test_which_codes_have_the_order():
    assert PADDED == ["tapered", "shape-gain", "eight gains", "one shell", "far shell"]


def test_the_default_code_takes_50_bits_and_6033_cells():
    order = padded.layout(12, DEFAULT)
    assert order.bits == 50 and len(order.cells) == 6033 and order.base[-1] < 1 << 50
    layer = random_layer(CODEBOOKS["tapered"], 64, 4104)
    assert gpu.Matrix(layer, HostMachine(library())).bits_per_weight < 2.1


def test_cells_are_aligned_disjoint_and_large_enough():
    order = padded.layout(12, DEFAULT)
    sizes = 1 << order.size.sum(axis=1)
    assert (order.base[:-1] % sizes == 0).all() and (np.diff(sizes) <= 0).all()
    assert (np.diff(order.base) >= sizes).all()
    begins = np.flatnonzero(np.diff(sizes, prepend=0))
    assert (order.base[begins] % (1 << order.bits - padded.BUCKETS) == 0).all(), "upper bits say the size"
    found = np.sort(order.position[order.position >= 0])
    assert (found == np.arange(len(order.cells))).all()


def test_octads_are_listed_once():
    """Rows of a weight and excess all differ; odd octads of norm up to 120 number 14,674, as counted by hand."""
    rows, where = padded._rows(tables(12), 12)
    for start, count in where.values():
        assert len(np.unique(rows[start : start + count])) == count
    assert sum(count for (weight, n), (_, count) in where.items() if weight < 0 and 8 + 8 * n <= 120) == 14674


@pytest.mark.parametrize("name", PADDED)
def test_repacking_is_injective_and_stays_inside(name):
    codebook = CODEBOOKS[name]
    codes = np.unique(valid_codes(codebook, np.random.default_rng(1), 5000))
    stream = gpu_tables.repacked(pack.pack(codes, codebook.bits), len(codes), codebook)
    order = gpu_tables.padded_layout(codebook)
    back = pack.unpack(stream, order.bits, len(codes))
    assert len(np.unique(back)) == len(codes) and int(back.max()) < order.base[-1]


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize(("rows", "width"), [(1, 24), (40, 1000), (7, 47)])
def test_weights_are_those_of_the_library(machine, name, rows, width):
    layer = random_layer(CODEBOOKS[name], rows, width)
    matrix, want = gpu.Matrix(layer, machine), in_rotated_coordinates(layer)
    assert matrix.order == "padded"
    np.testing.assert_array_equal(matrix.rotated_weights(), want)
    np.testing.assert_array_equal(matrix.rotated_weights("float16"), want.astype(np.float16))


@pytest.mark.slow
def test_every_point_of_shells_2_and_3(machine):
    """The whole ball of shell 3 through the padded order: 16,969,680 points, each its own integer vector."""
    codebook, chunk = ShapeGain(3, 0, levels=[1.0]), 24 << 14
    total = index.size(3) - 1
    on_machine = gpu.Tables.put(gpu_tables.padded_tables_of(codebook), machine)
    for first in range(0, total, chunk):
        codes = np.arange(first, min(first + chunk, total), dtype=np.uint64)
        words = gpu_tables.words_of(
            gpu_tables.repacked(pack.pack(codes, codebook.bits), len(codes), codebook)
        )
        out = np.empty((len(codes), 24), dtype=np.float32)
        scale = np.ones(len(codes), dtype=np.float16)
        args = (words, np.int64(len(codes)), np.int32(24), *on_machine.args, scale, out)
        machine.launch("decode_padded_fp32", 2, 256, on_machine.shared, args)
        assert (out == codebook.decode(codes)).all()


@pytest.mark.parametrize(("name", "batch", "rows", "width"), [
    ("tapered", 1, 37, 1000), ("shape-gain", 1, 5, 96), ("far shell", 3, 9, 100), ("tapered", 8, 6, 264),
    ("eight gains", 2, 3, 25), ("one shell", 4, 2, 24),
])  # fmt: skip
def test_both_orders_give_the_same_product_to_the_last_bit(machine, name, batch, rows, width):
    layer = random_layer(CODEBOOKS[name], rows, width)
    x = np.random.default_rng(width).standard_normal((batch, width)).astype(np.float32)
    in_file_order = gpu.Matrix(layer, machine, "file").matvec(x)
    assert in_file_order.any()
    np.testing.assert_array_equal(gpu.Matrix(layer, machine, "padded").matvec(x), in_file_order)


def test_tables_in_the_cache_give_the_same_product():
    layer = random_layer(CODEBOOKS["tapered"], 9, 96)
    x = np.random.default_rng(3).standard_normal((1, 96)).astype(np.float32)
    asked: list[int] = []

    class Watched(HostMachine):
        def launch(self, name, grid, block, shared, args):
            asked.append(shared)
            super().launch(name, grid, block, shared, args)

    products = [gpu.Matrix(layer, Watched(library()), staged=staged).matvec(x) for staged in (True, False)]
    np.testing.assert_array_equal(*products)
    assert asked[1] > 100_000 and asked[3] == 0


def test_every_gain_of_every_shell(machine):
    """First and last point of every shell with every gain that reaches it."""
    codebook = Tapered((8, 9, 10, 11, 12, 12), levels=np.linspace(3, 6, 6))
    start = gpu_tables.codes_of(codebook)[0]
    codes = [
        start[gain] + point - 1
        for gain, cap in enumerate(codebook.caps)
        for m in range(2, cap + 1)
        for point in (index.size(m - 1), index.size(m) - 1)
    ]
    layer = QuantizedLinear(pack.pack(np.array(codes, dtype=np.uint64), 48), np.ones(1, np.float16),
                            (1, 24 * len(codes)), 0, codebook)  # fmt: skip
    matrix = gpu.Matrix(layer, machine)
    np.testing.assert_array_equal(matrix.rotated_weights(), in_rotated_coordinates(layer))


@pytest.mark.parametrize("name", gpu_tables.PADDED_ARRAYS)
def test_two_swapped_rows_of_a_table_show(name, monkeypatch):
    """Neighbors change places, all over the table; codes may then lead out of it, hence a process of its own."""
    layer = random_layer(CODEBOOKS["tapered"], 60, 960)
    bad, want = gpu_tables.padded_tables_of(layer.codebook).copy(), in_rotated_coordinates(layer)
    header = bad[: 4 * gpu_tables.HEADER].view(np.int32)
    slot = gpu_tables.PADDED_ARRAYS.index(name)
    end = header[slot + 1] if slot + 1 < len(gpu_tables.PADDED_ARRAYS) else len(bad)
    pairs = {"buckets": 16, "cells": 32}.get(name, 8)
    table = bad[header[slot] : header[slot] + (end - header[slot]) // pairs * pairs].view(np.uint32)
    table = table.reshape(-1, 2, pairs // 8)
    assert not np.array_equal(table, table[:, ::-1])

    def decodes(machine: HostMachine) -> bool:
        return bool((gpu.Matrix(layer, machine).rotated_weights() == want).all())

    assert not fails(HostMachine(library()), decodes)
    table[:] = table[:, ::-1].copy()
    monkeypatch.setattr(gpu_tables, "padded_tables_of", lambda _: bad)
    assert fails(HostMachine(library()), decodes)  # another machine, since the first keeps the good tables


def test_what_does_not_fit_is_refused(machine):
    with pytest.raises(ValueError, match=r"'cap' must lie in 2 \.\.\. 15 and 'gains' below 9, got 16 and 1"):
        padded.layout(16, (0, 0, *[1] * 15))
    with pytest.raises(ValueError, match="'order' must be 'padded', 'file' or None, got 'fast'"):
        gpu.Matrix(random_layer(CODEBOOKS["tapered"], 1, 24), machine, "fast")
    assert gpu.Matrix(random_layer(CODEBOOKS["ball 13"], 1, 24), machine).order == "file"
