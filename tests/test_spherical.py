"""The spherical Leech layer: shapes, the straight-through gradient, precisions, the compiler, digits."""

from __future__ import annotations

import math
import shutil

import fake_cuda
import numpy as np
import pytest
import torch
from adversarial import blocks
from torch._subclasses.fake_tensor import FakeTensorMode

from llvq_mini import gpu, kissing, leech
from llvq_mini.errors import LLVQError
from llvq_mini.spherical import (
    DigitHead,
    SphericalLeech,
    nearest_minimal,
    nearest_on,
    normalize,
    on_cuda,
    straight_through,
)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(6, 5, 48, generator=torch.Generator().manual_seed(0))


def test_shapes_values_and_indices(x):
    quantized, indices, loss = SphericalLeech(48)(x)
    assert quantized.shape == x.shape and indices.shape == (6, 5, 2) and indices.dtype == torch.int64
    assert loss.shape == () and loss == 0
    v = kissing.nearest(x.reshape(-1, 24).numpy())
    assert np.allclose(quantized.reshape(-1, 24) * math.sqrt(32), v, atol=1e-6)
    assert (indices.reshape(-1).numpy() == kissing.encode(v)).all()
    assert torch.equal(SphericalLeech(48).indices_to_codes(indices), quantized)


def test_ties_are_those_of_the_search():
    rng = np.random.default_rng(0)
    minimal = leech.minimal_vectors()
    middles = (minimal[rng.integers(0, 196_560, (2, 500))].sum(axis=0) * 0.1).astype(np.float32)
    indices = SphericalLeech()(torch.from_numpy(middles))[1]
    assert (indices.numpy() == kissing.encode(kissing.nearest(middles))).all()


@pytest.mark.parametrize("shape", [(24,), (1, 24), (0, 24), (2, 3, 4, 24)])
def test_any_leading_dimensions_and_one_token_without_an_axis(shape):
    quantized, indices, _ = SphericalLeech()(torch.ones(shape))
    assert quantized.shape == shape and indices.shape == shape[:-1]
    assert SphericalLeech().indices_to_codes(indices).shape == shape


def test_channels_may_lie_anywhere_in_memory(x):
    strided = x.transpose(0, 2).contiguous().transpose(0, 2)
    assert torch.equal(SphericalLeech(48)(strided)[1], SphericalLeech(48)(x)[1])


def test_gradient_is_that_of_the_normalization(x):
    """Forward is piecewise constant, so the stated surrogate z is what finite differences can check."""
    x = x[:2, :1, :24].double().requires_grad_()
    assert torch.autograd.gradcheck(normalize, x)
    towards = torch.randn_like(x)
    (through,) = torch.autograd.grad((SphericalLeech()(x)[0] * towards).sum(), x)
    length = x.detach().norm(dim=-1, keepdim=True)
    z = x.detach() / length
    expected = (towards - z * (z * towards).sum(dim=-1, keepdim=True)) / length
    assert torch.allclose(through, expected, atol=1e-12)


def test_straight_through_passes_gradcheck_as_stated():
    """With the codeword shifted along, y = z + constant: its derivative is what backward claims."""
    z = torch.randn(3, 24, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(3, 24, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: straight_through(z, z.detach() + offset), z)
    assert torch.equal(straight_through(z, offset), offset)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precisions(x, dtype):
    x = x.to(dtype).requires_grad_()
    quantized, indices, _ = SphericalLeech(48)(x)
    assert quantized.dtype == dtype
    assert torch.equal(indices, SphericalLeech(48)(x.detach().double())[1])
    quantized.sum().backward()
    assert x.grad.dtype == dtype and torch.isfinite(x.grad).all()


def test_autocast(x):
    layer = torch.nn.Linear(48, 48)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = layer(x)
        quantized, indices, _ = SphericalLeech(48)(hidden)
    assert hidden.dtype == quantized.dtype == torch.bfloat16
    assert torch.equal(indices, SphericalLeech(48)(hidden.float())[1])
    quantized.float().square().mean().backward()
    assert torch.isfinite(layer.weight.grad).all()


def test_operator_is_well_formed(x):
    torch.library.opcheck(nearest_minimal, (x.reshape(-1, 24),))


COMPILERS = [
    "aot_eager",
    pytest.param(
        "inductor", marks=pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("backend", COMPILERS)
def test_compiled_module_gives_the_same(x, backend):
    torch._dynamo.reset()
    module = torch.nn.Sequential(torch.nn.Linear(48, 48), SphericalLeech(48))
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    results = []
    for run in (module, compiled):
        module.zero_grad()
        quantized, indices, loss = run(x)
        (quantized.square().sum() + (quantized * x).sum() + loss).backward()
        results.append((quantized, indices, module[0].weight.grad.clone()))
    assert torch.equal(results[0][1], results[1][1])
    assert torch.allclose(results[0][0], results[1][0])
    assert torch.allclose(results[0][2], results[1][2], atol=1e-5)


# ---- CUDA ----


@pytest.fixture
def machine(monkeypatch):
    """A GPU of doubles: the real kernel, run on the CPU."""
    yield fake_cuda.install(monkeypatch)
    gpu.cuda.cache_clear()


def test_the_operator_has_a_cuda_kernel_and_meta_tensors_on_cuda():
    assert torch._C._dispatch_has_kernel_for_dispatch_key("llvq_mini::nearest_minimal", "CUDA")
    with FakeTensorMode():
        quantized, indices, _ = SphericalLeech(48)(torch.empty(3, 48, device="cuda", dtype=torch.bfloat16))
        assert quantized.shape == (3, 48) and indices.shape == (3, 2) and indices.device.type == "cuda"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_finds_the_vectors_of_the_cpu(machine, dtype):
    """Random blocks, points half-way between minimal vectors, sparse blocks, zero, and blocks far from unit length."""
    rng = np.random.default_rng(5)
    minimal = leech.minimal_vectors()
    middles = minimal[rng.integers(0, kissing.COUNT, (2, 16))].sum(axis=0) * 0.1
    scaled = rng.standard_normal((6, 24)) * np.array([[1e-30], [1e-18], [1.0], [1e6], [1e18], [1e30]])
    hard = [b[:1] for b in blocks(rng, 1).values()]
    parts = [*hard, middles, scaled, np.eye(24)[:2], np.zeros((1, 24)), rng.standard_normal((60, 24))]
    x = torch.from_numpy(np.concatenate(parts)).to(dtype)
    x = x[torch.isfinite(x).all(dim=1)]  # some hard blocks are too large for float32
    codewords, indices = nearest_on(machine, x)
    wanted = kissing.nearest(x.numpy())
    assert fake_cuda.LAUNCHED and codewords.dtype == dtype
    assert (indices.numpy() == kissing.encode(wanted)).all()
    assert torch.equal(codewords, nearest_minimal(x)[0])


def test_cuda_takes_half_precision_and_nothing_and_refuses_nan(machine):
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(2)).bfloat16()
    codewords, indices = on_cuda(x)
    assert codewords.dtype == torch.bfloat16 and torch.equal(indices, nearest_minimal(x.double())[1])
    codewords, indices = nearest_on(machine, x[:0])
    assert codewords.shape == (0, 24) and indices.shape == (0,)
    with pytest.raises(ValueError, match="finite"):
        nearest_on(machine, torch.full((1, 24), math.inf))


def test_one_sentence_where_the_gpu_is_missing(monkeypatch):
    gpu.cuda.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LLVQError, match="^No GPU: torch finds no CUDA device"):
        on_cuda(torch.ones(1, 24))


def test_zero_tiny_and_huge_tokens():
    x = torch.stack([torch.zeros(24), torch.full((24,), 1e-30), torch.full((24,), 1e30)]).requires_grad_()
    quantized, indices, _ = SphericalLeech()(x)
    assert indices[1] == indices[2]
    assert torch.allclose(quantized.norm(dim=-1), torch.ones(3))
    quantized[0].sum().backward()
    assert (x.grad == 0).all()


def test_refusals(x):
    with pytest.raises(ValueError, match="Argument 'channels'"):
        SphericalLeech(25)
    with pytest.raises(ValueError, match="move the channel axis"):
        SphericalLeech()(x)
    with pytest.raises(ValueError, match="floating-point"):
        SphericalLeech()(torch.zeros(3, 24, dtype=torch.int64))
    with pytest.raises(ValueError, match="finite"):
        SphericalLeech()(torch.full((1, 24), math.nan))
    for bad in (torch.tensor([kissing.COUNT]), torch.tensor([-1]), torch.tensor([0.0])):
        with pytest.raises(ValueError, match="Argument 'indices'"):
            SphericalLeech().indices_to_codes(bad)
    with pytest.raises(ValueError, match="Argument 'indices'"):
        SphericalLeech(48).indices_to_codes(torch.zeros(4, 3, dtype=torch.int64))


def test_digits_are_the_coordinates_and_come_back():
    indices = torch.randint(0, kissing.COUNT, (7, 3), generator=torch.Generator().manual_seed(1))
    module = SphericalLeech()
    digits = module.digits(indices)
    assert digits.shape == (7, 3, 24) and int(digits.min()) >= 0 and int(digits.max()) <= 8
    assert leech.contains(digits.reshape(-1, 24).numpy() - 4).all()
    assert torch.equal(module.from_digits(digits), indices)
    assert torch.equal(module((digits - 4).float())[1], indices)
    with pytest.raises(ValueError, match="Argument 'v'"):
        module.from_digits(torch.full((1, 24), 8))
    with pytest.raises(ValueError, match="Argument 'digits'"):
        module.from_digits(torch.zeros(1, 23, dtype=torch.int64))


def test_digit_head_of_uniform_guesses_pays_for_nine_choices_each():
    head = DigitHead(8)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    digits = torch.randint(0, 9, (5, 24))
    assert head(torch.randn(5, 8)).shape == (5, 24, 9)
    assert float(head.loss(torch.randn(5, 8), digits).detach()) == pytest.approx(24 * math.log(9), rel=1e-6)
