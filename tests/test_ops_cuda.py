"""The CUDA side of ops.py and linear.py without a GPU: shapes on fake CUDA tensors, which kernel runs at which batch,
and the kernels themselves on the CPU against the product with decoded weights."""

from __future__ import annotations

import copy

import fake_cuda
import numpy as np
import pytest
import torch
from fake_cuda import forget  # noqa: F401
from test_kernels import CODEBOOKS, in_rotated_coordinates, random_layer
from torch._subclasses.fake_tensor import FakeTensorMode

from llvq_mini import gpu, gpu_tables, linear, ops
from llvq_mini.errors import LLVQError
from llvq_mini.linear import LeechLinear
from llvq_mini.rotate import Rotation

CPU_LINEAR = ops.linear


pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture
def cuda(monkeypatch, forget):  # noqa: F811
    """A GPU of doubles; LeechLinear calls the operator's CUDA kernel, which the dispatcher would choose there."""
    monkeypatch.setattr(linear.ops, "linear", ops.on_cuda)
    return fake_cuda.install(monkeypatch)


def moved(layer, bias=None) -> LeechLinear:
    """The layer as `.to('cuda')` leaves it."""
    return LeechLinear.from_quantized(layer, bias)._apply(lambda tensor: tensor.clone())


def test_the_operator_has_a_cuda_kernel_and_meta_tensors_on_cuda():
    assert torch._C._dispatch_has_kernel_for_dispatch_key("llvq::linear", "CUDA")
    with FakeTensorMode():
        for shape in ((72,), (3, 72), (2, 9, 72)):
            x = torch.empty(shape, device="cuda", dtype=torch.bfloat16)
            codes = torch.empty(64, device="cuda", dtype=torch.int32)
            y = torch.ops.llvq.linear(x, codes, torch.empty(10, device="cuda", dtype=torch.float16), 1, "{}")
            assert y.shape == (*shape[:-1], 10) and y.dtype == torch.bfloat16 and y.device.type == "cuda"


def test_one_sentence_where_the_gpu_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = torch.ones(1, 24), torch.zeros(4, dtype=torch.int32), torch.ones(1, dtype=torch.float16)
    with pytest.raises(LLVQError, match="^No GPU: torch finds no CUDA device"):
        ops.on_cuda(*arguments, 0, "{}")


@pytest.mark.parametrize(("tokens", "dtype", "kernels"), [
    (0, torch.float32, []),
    (1, torch.float32, ["rotate_to_fixed", "matvec_padded_1"]),
    (2, torch.float16, ["rotate_to_fixed", "matvec_padded_2"]),
    (3, torch.bfloat16, ["rotate_to_fixed", "matvec_padded_4"]),
    (8, torch.float64, ["rotate_to_fixed", "matvec_padded_8"]),
    (9, torch.float32, ["decode_padded_fp32", "rotate_rows"]),
    (9, torch.float64, ["decode_padded_fp32", "rotate_rows"]),
    (17, torch.float16, ["decode_padded_fp16", "rotate_rows"]),
    (12, torch.bfloat16, ["decode_padded_bf16", "rotate_rows"]),
])  # fmt: skip
def test_which_kernels_run(cuda, tokens, dtype, kernels):
    layer = random_layer(CODEBOOKS["tapered"], 11, 100)
    module = moved(layer)
    x = torch.from_numpy(np.random.default_rng(tokens).standard_normal((tokens, 100))).to(dtype)
    y = module(x)
    assert fake_cuda.LAUNCHED == kernels and y.shape == (tokens, 11) and y.dtype == dtype
    weights = in_rotated_coordinates(layer).astype(np.float64)
    rotated = Rotation(100, layer.seed).apply(x.to(torch.float64).numpy())
    want, size = rotated @ weights.T, np.abs(rotated) @ np.abs(weights).T
    rounding = {torch.bfloat16: 2**-8, torch.float16: 2**-11}.get(dtype, 1e-6)
    bound = 3 * rounding * size + np.abs(rotated).max(initial=0) / 65024 * np.abs(weights).sum(axis=1)
    if dtype == torch.float16:  # weights and results below its normal numbers
        bound += 2**-24 * (1 + np.abs(rotated).sum(axis=1, keepdims=True))
    assert (np.abs(y.to(torch.float64).numpy() - want) <= bound + 1e-30).all()


@pytest.mark.parametrize("name", CODEBOOKS)
def test_every_codebook_gives_the_product_of_matrix(cuda, name):
    """The same bits as gpu.Matrix; codebooks without an order for GPUs keep that of the file."""
    layer = random_layer(CODEBOOKS[name], 6, 72)
    x = torch.randn(2, 72)
    got, bias = moved(layer, torch.arange(6.0))(x), torch.arange(6.0)
    assert torch.equal(got, gpu.Matrix(layer, cuda).matvec(x) + bias)
    infix = "padded_" if gpu_tables.has_padded_order(layer.codebook) else ""
    assert fake_cuda.LAUNCHED[1] == f"matvec_{infix}2"


def test_leading_axes_and_strides(cuda):
    module = moved(random_layer(CODEBOOKS["tapered"], 5, 48))
    x = torch.randn(48, 2, 3).permute(2, 1, 0)
    assert not x.is_contiguous()
    assert torch.equal(module(x), module(x.reshape(6, 48)).reshape(3, 2, 5))
    assert module(x[0, 0]).shape == (5,)


def test_tables_go_to_the_gpu_once(cuda, monkeypatch):
    put, sent = cuda.put, []
    monkeypatch.setattr(type(cuda), "put", lambda self, array: sent.append(array.nbytes) or put(array))
    for seed in (1, 2):
        module = moved(random_layer(CODEBOOKS["tapered"], 4, 48, seed))
        for tokens in (1, 2, 20, 20):
            module(torch.randn(tokens, 48))
    assert len(sent) == 2, "the tables of the code and a row of the rotation's dense factor"


def test_nothing_is_sent_or_fetched_after_the_first_call(cuda, monkeypatch):
    """What a CUDA graph forbids: copies between host and device, and waiting for one."""
    module = moved(random_layer(CODEBOOKS["tapered"], 4, 48))
    inputs = [torch.randn(tokens, 48) for tokens in (1, 20)]
    want = [module(x) for x in inputs]

    def forbidden(*_, **__):
        raise AssertionError("a copy between host and device")

    for name in ("put", "get"):
        monkeypatch.setattr(type(cuda), name, forbidden)
    for name in ("cpu", "numpy", "item", "tolist", "cuda"):
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    assert all(torch.equal(module(x), y) for x, y in zip(inputs, want, strict=True))


def test_codes_of_the_file_stay_behind_and_come_back(cuda):
    layer = random_layer(CODEBOOKS["tapered"], 30, 960)
    module = moved(layer)
    assert module.words.dtype == torch.int32 and module.words.nbytes <= 30 * 960 * 2.1 / 8 + 16
    assert module.state_dict().keys() == {"weight", "row_scale"}
    assert module.weight.numpy().tobytes() == layer.codes.tobytes()
    assert module.quantized().dequantize().tobytes() == layer.dequantize().tobytes()
    words = module.words
    module._apply(lambda tensor: tensor.to(torch.float16) if tensor.is_floating_point() else tensor)
    assert module.words is words, "made once"


def test_new_codes_replace_the_copy(cuda):
    module, other = (moved(random_layer(CODEBOOKS["tapered"], 4, 48, seed)) for seed in (1, 2))
    other.seed = module.seed
    x = torch.randn(1, 48)
    assert not torch.equal(module(x), other(x))
    module.load_state_dict(copy.deepcopy(other.state_dict()))
    assert torch.equal(module(x), other(x))


def test_back_on_the_cpu_nothing_is_left(monkeypatch):
    layer = random_layer(CODEBOOKS["tapered"], 4, 48)
    x = torch.randn(2, 48)
    want = LeechLinear.from_quantized(layer)(x)
    with monkeypatch.context() as there:
        fake_cuda.install(there)
        module = moved(layer)
    assert module.words is not None
    module.to("cpu")
    assert module.words is None and ops.linear is CPU_LINEAR and torch.equal(module(x), want)


def test_what_does_not_fit_is_refused(cuda):
    module = moved(random_layer(CODEBOOKS["tapered"], 4, 48))
    with pytest.raises(
        ValueError, match=r"'codes' must be 15 int32 words .* for 4 x 48 on a GPU, got torch.uint8"
    ):
        ops.on_cuda(torch.ones(1, 48), module.weight, module.row_scale, 1, module.codebook)
    with pytest.raises(ValueError, match="'codes' must be 27 int32 words"):
        ops.on_cuda(torch.ones(1, 96), module.words, module.row_scale, 1, module.codebook)
    damaged = LeechLinear.from_quantized(random_layer(CODEBOOKS["tapered"], 4, 48))
    damaged.weight = torch.full_like(damaged.weight, 255)
    with pytest.raises(ValueError, match="'codes' must lie in the codebook"):
        damaged.settle()
