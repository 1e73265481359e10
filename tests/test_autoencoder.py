"""The autoencoder: its pictures, its metrics against closed forms, and that a short run learns."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from PIL import Image
from torch import nn

from llvq_mini import autoencoder
from llvq_mini.autoencoder import (
    Autoencoder,
    base_and_gain,
    bundled_pictures,
    crops,
    evaluate,
    psnr,
    read_picture,
    ssim,
    train,
)
from llvq_mini.errors import LLVQError
from llvq_mini.spherical import SphericalLeech
from llvq_mini.spherical_rivals import BSQ, FSQ


def test_bundled_pictures_are_real_and_disjoint():
    training, test = bundled_pictures()
    assert len(training) == len(autoencoder.TRAIN) and not set(autoencoder.TRAIN) & set(autoencoder.TEST)
    for picture in (*training, *test):
        assert picture.shape[0] == 3 and picture.shape[1] % 8 == picture.shape[2] % 8 == 0
        assert 0 <= picture.min() < 0.3 < 0.5 < picture.max() <= 1 and picture.std() > 0.05


def test_unreadable_pictures_are_named(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(LLVQError, match=r"bad\.png"):
        read_picture(bad)
    with pytest.raises(LLVQError, match="missing"):
        read_picture(tmp_path / "missing.png")


def test_psnr_and_ssim_of_known_pairs():
    flat = torch.full((3, 32, 32), 0.5)
    assert psnr(flat, flat + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert psnr(flat, flat) == math.inf
    x = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert ssim(x, x) == pytest.approx(1.0)
    c1 = 0.01**2
    assert ssim(flat, flat + 0.1) == pytest.approx((2 * 0.5 * 0.6 + c1) / (0.25 + 0.36 + c1), rel=1e-5)
    assert ssim(x, 1 - x) < 0  # the structure is reversed


def test_crops_repeat_and_stay_inside():
    pictures = [torch.rand(3, 40, 64), torch.rand(3, 72, 48)]
    one, two = (crops(pictures, 6, 40, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.shape == (6, 3, 40, 40) and torch.equal(one, two)
    with pytest.raises(ValueError, match="Argument 'size'"):
        crops(pictures, 1, 41, torch.Generator())
    bytes_ = [(255 * p).round().byte() for p in pictures]
    three = crops(bytes_, 6, 40, torch.Generator().manual_seed(3))
    assert three.dtype == torch.float32 and (three - one).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("quantizer", [SphericalLeech(48), BSQ(18)])
def test_rate_and_shapes(quantizer):
    model = Autoencoder(quantizer, 16, 1).eval()
    assert model.side_bits_per_pixel == 28 / 64 and model.scale == pytest.approx(quantizer.dim**0.5)
    y, indices, _ = model(torch.rand(2, 3, 16, 24))
    assert y.shape == (2, 3, 16, 24) and indices.shape[:3] == (2, 2, 3)
    assert model.bits_per_pixel == pytest.approx(
        quantizer.channels / quantizer.dim * math.log2(quantizer.size) / 64
    )


def test_base_and_gain_are_what_the_decoder_can_know():
    x = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(1))
    base, gain = base_and_gain(x)
    assert base.shape == x.shape and gain.shape == (2, 1, 24, 40)
    patches = gain.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2)
    assert (patches == patches[..., :1]).all()  # one number a patch
    power = ((x - base) / gain).square().mean(1, keepdim=True)
    blocks = torch.nn.functional.avg_pool2d(power, 8)
    assert ((0.5**0.5 - 1e-4 <= blocks) & (blocks <= 2**0.5 + 1e-4)).all()  # root mean square within 2^(1/4)
    flat = torch.full((1, 3, 16, 16), 100 / 255)
    base, gain = base_and_gain(flat)
    assert torch.allclose(base, flat) and (gain == autoencoder.GAIN).all()


def _benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "autoencoder.py"
    spec = importlib.util.spec_from_file_location("benchmark_autoencoder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_of_pictures(tmp_path):
    benchmark = _benchmark()
    for n in range(9):
        Image.new("RGB", (40, 32), (n, 2 * n, 3 * n)).save(tmp_path / f"{n}.png")
    with pytest.raises(LLVQError, match="9 pictures"):
        benchmark.folder_pictures(tmp_path, 32)
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (33, 35), (200, 0, 0)).save(tmp_path / "deep" / "z.png")
    training, test = benchmark.folder_pictures(tmp_path, 32)
    assert (len(training), len(test)) == (9, 1) and training[0].dtype == torch.uint8
    with pytest.raises(LLVQError, match="--size 32"):
        benchmark.folder_pictures(tmp_path, 64)


@pytest.mark.parametrize("error", [ImportError("torchvision"), URLError("no network")])
def test_perceptual_metrics_say_what_is_missing(monkeypatch, error):
    def unavailable(**_):
        raise error

    for name, one in (("fid", "FrechetInceptionDistance"), ("lpip", "LearnedPerceptualImagePatchSimilarity")):
        stub = SimpleNamespace(**{one: unavailable})
        monkeypatch.setitem(sys.modules, f"torchmetrics.image.{name}", stub)
    for name in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__path__=[]))
    with pytest.raises(LLVQError, match=f"--perceptual .*{error.args[0]}"):
        _benchmark().perceptual_metrics("cpu")


def test_content():
    x = torch.rand(1, 3, 16, 16)
    plain = Autoencoder(BSQ(18), 16, 1, "plain").eval()
    assert plain.side_bits_per_pixel == 0 and plain(x)[0].shape == x.shape
    shape = Autoencoder(BSQ(18), 16, 1).eval()
    nn.init.zeros_(shape.decoder[-1].weight)
    nn.init.zeros_(shape.decoder[-1].bias)
    assert torch.equal(
        shape(x)[0], base_and_gain(x)[0]
    )  # a decoder that says nothing leaves the base picture
    with pytest.raises(ValueError, match="Argument 'content'"):
        Autoencoder(BSQ(18), 16, 1, "color")


def test_the_decoder_sees_codewords_of_one_size():
    seen = []
    for quantizer in (SphericalLeech(), BSQ(18), FSQ()):
        model = Autoencoder(quantizer, 16, 1).eval()
        model.from_token.register_forward_hook(
            lambda _, inputs, __: seen.append(float(inputs[0].detach().std(correction=0)))
        )
        model(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)))
    assert (
        seen[:2] == pytest.approx([1.0, 1.0], rel=0.02) and 0.2 < seen[2] < 1.6
    )  # tanh fills its grid by training


def test_a_short_run_learns_and_repeats():
    x = (
        torch.linspace(0, 1, 64)[None, :, None]
        * torch.tensor([1.0, 0.5, 0.2])[:, None, None]
        * torch.ones(1, 1, 64)
    )
    runs = [train(SphericalLeech, [x], 25, batch=4, size=32, width=16, content="plain") for _ in range(2)]
    first, second = (evaluate(model, [x]) for model in runs)
    assert first == second
    untrained = evaluate(Autoencoder(SphericalLeech(), 16, 1, "plain").eval(), [x])
    assert first["psnr"] > untrained["psnr"] + 3
    assert first["tokens"] == 64 and 0 <= first["usage_entropy_bits"] <= 6
