"""packed.py, ops.py and linear.py: a product with packed weights is the product with decoded ones."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from doubles import ScalarBlock
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from llvq_mini import index, pack, packed
from llvq_mini.codebook import Ball, ShapeGain, SingleShell, Tapered
from llvq_mini.interlocked import Interlocked
from llvq_mini.layer import QuantizedLinear
from llvq_mini.linear import LeechLinear, cache_all, dequantize_all, leech_linears
from llvq_mini.rotate import Rotation

TAPERED = Tapered(levels=[2.8, 3.6, 4.2, 4.7, 5.2, 5.9])
BOOKS = {
    "tapered": TAPERED,
    "shape-gain": ShapeGain(12, 1, levels=[4.0, 5.0]),
    "four gains of three shells": ShapeGain(
        3, 2, levels=[3.5, 4.0, 5.0, 6.0]
    ),  # 27 bits: rows end inside bytes
    "single shell": SingleShell(3, 0, levels=[4.5]),
    "ball": Ball(13, scale=0.35),
    "small ball": Ball(2, scale=0.8),  # 18 bits, the origin included
    "interlocked": Interlocked(levels=[2.8, 3.3, 3.7, 4.1, 4.7, 5.5]),
    "eight spheres": Interlocked((4, 4, 5, 5, 5, 5, 5, 6), levels=np.linspace(2.8, 5.0, 8)),  # 36 bits
    "large ball": Ball(16, scale=0.3),  # no plan: decoded by the codebook
}


def count_of(book) -> int:
    """Codes of a codebook without gaps between its levels."""
    if isinstance(book, Tapered | Interlocked):
        return int(book._start[-1])
    return index.size(book.max_shell) if isinstance(book, Ball) else book._points


def random_linear(book, rows: int, width: int, seed: int = 0) -> QuantizedLinear:
    rng = np.random.default_rng(seed)
    blocks = rows * -(-width // 24)
    codes = rng.integers(0, count_of(book), blocks, dtype=np.uint64)
    if not isinstance(book, Tapered | Interlocked | Ball):
        codes |= rng.integers(0, 1 << book.gain_bits, blocks, dtype=np.uint64) << np.uint64(book._shape_bits)
    codes[:2] = [0, codes.max()]
    scale = rng.uniform(0.01, 0.1, rows).astype(np.float16)
    return QuantizedLinear(pack.pack(codes, book.bits), scale, (rows, width), 7 + seed, book)


@pytest.mark.parametrize("name", BOOKS)
def test_tiles_equal_decode_bit_for_bit(name):
    book = BOOKS[name]
    linear = random_linear(book, 37, 120)
    decoder = packed.Decoder(book)
    assert (decoder.plan is None) == (name == "large ball")
    whole = book.decode(pack.unpack(linear.codes, book.bits, 37 * 5)).reshape(37, -1)
    for begin, end in [(0, 37), (0, 1), (3, 4), (5, 18), (36, 37)]:
        assert decoder.tile(linear.codes, 120, begin, end).tobytes() == whole[begin:end].tobytes()


def test_every_shell_and_kind_is_decoded():
    """First and last index of every row of the index, and random ones inside."""
    book = Ball(13, scale=0.5)
    first = packed.make_plan(book).first
    codes = np.concatenate([first[:-1], first[1:] - 1, np.random.default_rng(1).integers(0, first[-1], 5000)])
    codes = codes.astype(np.uint64)
    tile = packed.Decoder(book).tile(pack.pack(codes, book.bits), 24 * len(codes), 0, 1)
    assert (tile.reshape(-1, 24) == index.decode(codes, 13) * np.float32(0.5)).all()


@pytest.mark.parametrize("name", BOOKS)
@pytest.mark.parametrize("tokens", [1, 3, 20])
def test_product_is_that_of_the_dequantized_matrix(name, tokens):
    linear = random_linear(BOOKS[name], 50, 100)
    x = np.random.default_rng(2).standard_normal((tokens, 100)).astype(np.float32)
    want = x.astype(np.float64) @ linear.dequantize().astype(np.float64).T
    for threads in (1, 3):
        got = packed.Decoder(linear.codebook).multiply(
            linear.codes, linear.row_scale, x, linear.seed, threads
        )
        assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


def test_threads_do_not_change_the_bytes():
    linear = random_linear(TAPERED, 130, 600)
    decoder = packed.Decoder(TAPERED)
    for tokens in (1, 40):
        x = np.random.default_rng(3).standard_normal((tokens, 600)).astype(np.float32)
        products = [decoder.multiply(linear.codes, linear.row_scale, x, 5, threads) for threads in (1, 2, 5)]
        assert len({product.tobytes() for product in products}) == 1


@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 200), seed=st.integers(0, 2**63 - 1), tokens=st.integers(0, 3))
def test_rotation_is_that_of_rotate(width, seed, tokens):
    x = np.random.default_rng(width).standard_normal((tokens, width)).astype(np.float32)
    got = packed.rotated(x, seed, width + 5)
    assert np.abs(got[:, :width] - Rotation(width, seed).apply(x)).max(initial=0) < 1e-5
    assert not got[:, width:].any()


@pytest.mark.slow
def test_memory_is_a_tile_and_not_the_matrix():
    """The largest array made on the way to a product of 64 MB of dense weights stays under 2 MB."""
    code = """
import resource, numpy as np, torch
from llvq_mini import packed, pack
from llvq_mini.codebook import Ball
book = Ball(2, scale=1.0)
decoder = packed.Decoder(book)
rows, width = 4096, 4096
codes = np.zeros(pack.packed_size(rows * 171, book.bits), dtype=np.uint8)
scale = np.ones(rows, dtype=np.float16)
for tokens in (1, 16):
    few = codes[: pack.packed_size(64 * 171, book.bits)]
    decoder.multiply(few, scale[:64], np.ones((tokens, width), np.float32), 3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for tokens in (1, 16):
    decoder.multiply(codes, scale, np.ones((tokens, width), np.float32), 3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 << 10, "more than 8 MiB for a product that decodes 64 MiB"


@pytest.mark.parametrize("name", BOOKS)
def test_codes_outside_the_codebook_are_refused(name):
    book = BOOKS[name]
    linear = random_linear(book, 8, 48)
    decoder = packed.Decoder(book)
    decoder.check(linear.codes, 16)
    first = count_of(book)
    assert first < 1 << book.bits
    codes = pack.unpack(linear.codes, book.bits, 16).copy()
    codes[5] = first
    bad = pack.pack(codes, book.bits)
    with pytest.raises(ValueError, match="codes"):
        decoder.check(bad, 16)
    for tokens in (1, 20):
        with pytest.raises(ValueError, match="codes"):
            decoder.multiply(bad, linear.row_scale, np.ones((tokens, 48), np.float32), 1)
    for wrong in (linear.codes[:-1], linear.codes.astype(np.int8), linear.codes.reshape(1, -1)):
        with pytest.raises(ValueError, match="codes"):
            decoder.check(wrong, 16)
    with pytest.raises(ValueError, match="fit"):
        decoder.multiply(linear.codes[:-6], linear.row_scale, np.ones((1, 48), np.float32), 1)


def test_a_codebook_that_is_no_leech_code_is_decoded_by_itself():
    book = ScalarBlock()
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 1 << 48, 30 * 4, dtype=np.uint64)
    linear = QuantizedLinear(pack.pack(codes, 48), np.ones(30, np.float16), (30, 90), 3, book)
    x = rng.standard_normal((5, 90)).astype(np.float32)
    got = packed.Decoder(book).multiply(linear.codes, linear.row_scale, x, 3)
    assert np.allclose(got, x @ linear.dequantize().T, atol=1e-4)


class TestOperator:
    @pytest.mark.parametrize(
        "shape, dtype",
        [
            ((72,), torch.float32),
            ((2, 3, 72), torch.bfloat16),
            ((1, 72), torch.float64),
            ((0, 72), torch.float32),
        ],
    )
    def test_opcheck(self, shape, dtype):
        module = LeechLinear.from_quantized(random_linear(TAPERED, 10, 72))
        x = torch.randn(shape, dtype=dtype)
        arguments = (x, module.weight, module.row_scale, module.seed, module.codebook)
        assert torch.ops.llvq.linear(*arguments).dtype == dtype
        torch.library.opcheck(torch.ops.llvq.linear.default, arguments)

    @pytest.mark.slow
    def test_compiles_into_one_graph(self):
        torch.manual_seed(0)
        model = nn.Sequential(
            LeechLinear.from_quantized(random_linear(TAPERED, 48, 72), torch.randn(48)),
            nn.SiLU(),
            LeechLinear.from_quantized(random_linear(TAPERED, 20, 48)),
        )
        x = torch.randn(4, 72)
        with torch.inference_mode():
            compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
            assert torch.allclose(compiled(x), model(x), atol=1e-6)

    def test_wrong_arguments(self):
        module = LeechLinear.from_quantized(random_linear(TAPERED, 10, 72))
        for width in (71, 200):
            with pytest.raises(ValueError, match="must have 72 columns"):
                module(torch.randn(2, width))
        with pytest.raises(ValueError, match="fit"):
            torch.ops.llvq.linear(torch.randn(1, 200), module.weight, module.row_scale, 1, module.codebook)
        with pytest.raises(ValueError, match="'kind'"):
            torch.ops.llvq.linear(torch.randn(1, 72), module.weight, module.row_scale, 1, "{}")


class TestModule:
    def test_packed_cached_and_dense_agree(self):
        linear = random_linear(TAPERED, 40, 100)
        bias = torch.randn(40)
        module = LeechLinear.from_quantized(linear, bias)
        x = torch.randn(2, 3, 100)
        want = nn.functional.linear(x, torch.from_numpy(linear.dequantize()), bias)
        assert torch.allclose(module(x), want, atol=1e-5)
        state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        assert torch.equal(module.cache()(x), want)
        assert module.state_dict().keys() == state.keys() == {"weight", "row_scale", "bias"}
        assert module.release().dense is None
        assert torch.equal(module.to_dense()(x), want)
        assert module.quantized().dequantize().tobytes() == linear.dequantize().tobytes()

    def test_dtype_changes_leave_the_scales_alone(self):
        module = LeechLinear.from_quantized(random_linear(TAPERED, 40, 100), torch.randn(40))
        scale = module.row_scale.clone()
        module.to(torch.bfloat16).to(torch.float64)
        assert module.row_scale.dtype == torch.float16 and torch.equal(module.row_scale, scale)
        assert module.bias.dtype == torch.float64 and module.weight.dtype == torch.uint8

    def test_whole_models(self):
        model = nn.Sequential(LeechLinear.from_quantized(random_linear(TAPERED, 30, 48)), nn.ReLU())
        model.append(nn.Sequential(LeechLinear.from_quantized(random_linear(TAPERED, 10, 30))))
        x = torch.randn(3, 48)
        want = model(x)
        assert list(leech_linears(model)) == ["0", "2.0"]
        cache_all(model, torch.float32)
        assert torch.allclose(model(x), want, atol=1e-5)
        dequantize_all(model, torch.float32)
        assert not leech_linears(model) and torch.allclose(model(x), want, atol=1e-5)
        assert "codebook=tapered" in repr(LeechLinear.from_quantized(random_linear(TAPERED, 30, 48)))

    def test_an_empty_one_has_the_sizes_of_the_file(self):
        linear = random_linear(BOOKS["four gains of three shells"], 11, 50)
        empty = LeechLinear(50, 11, linear.codebook, linear.seed, bias=True)
        made = LeechLinear.from_quantized(linear, torch.zeros(11))
        assert {n: t.shape for n, t in empty.state_dict().items()} == {
            n: t.shape for n, t in made.state_dict().items()
        }
        empty.load_state_dict(made.state_dict())
        assert torch.equal(empty(torch.ones(50)), made(torch.ones(50)))


@pytest.mark.slow
def test_forked_processes_have_a_pool_of_their_own():
    """The parent's threads are not there in a child: it must not wait for them."""
    code = """
import os, numpy as np
from llvq_mini import packed, pack
from llvq_mini.codebook import Ball
book = Ball(2, scale=1.0)
decoder = packed.Decoder(book)
codes, scale = np.zeros(pack.packed_size(64 * 3, book.bits), np.uint8), np.ones(64, np.float16)
product = lambda: decoder.multiply(codes, scale, np.ones((1, 72), np.float32), 3, threads=2)
product()
child = os.fork()
if child == 0:
    product()
    os._exit(0)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


def test_decoders_are_shared_by_specification():
    spec = json.dumps(TAPERED.spec())
    assert packed.decoder(spec) is packed.decoder(spec) and packed.decoder(spec).book.spec() == TAPERED.spec()
