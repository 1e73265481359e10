"""A small convolutional autoencoder on real photographs, to compare quantizers by the pictures that come back.

    picture (3, H, W) -> 8 x 8 patches -> residual blocks -> tokens -> quantizer -> residual blocks -> picture

One token stands for 64 pixels, so a code of b bits costs b / 64 bits a pixel: 0.275 for the spherical Leech code, the
rate of the paper's tokenizers.  Network, initialization, crops and schedule depend on the seed only; what changes
between runs is the quantizer, and with it the number of channels of a token.  Its codewords reach the decoder with
root mean square 1, whatever their length.  The loss is the mean squared error, plus what the quantizer asks for.

What the tokens say is one of `CONTENTS`.

    shape   the classical mean-removed shape-gain code.  Side information, the same for every quantizer, is the mean
            color of each patch (3 x 8 bits; interpolated between patches it is the base picture) and the root mean
            square of what is left, in 16 steps of sqrt 2 (4 bits).  Tokens carry the rest over its gain: its shape.
    plain   no side information; tokens carry brightness, contrast and shape.

A code on the sphere has no length to say how strong a patch is and treats all directions alike.  In plain pictures one
direction, brightness, has four fifths of the variance; an encoder must first wind it round the sphere, which takes
longer than minutes.  benchmarks/spherical_spectrum.py measures both effects without any network.

    PSNR    10 log10(1 / MSE), pixels in [0, 1], the mean over pictures
    SSIM    structural similarity, Gaussian window 11 x 11, sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, each color by itself
            (Z. Wang et al., IEEE Trans. Image Processing 13, 2004)
    usage   distinct codewords among the tokens of the test pictures, and the entropy of their frequencies in bits

The photographs lie inside two Python packages: scikit-image (CC0 or public domain, by their notes) and scikit-learn
(china.jpg and flower.jpg, CC BY 2.0, by danielbuechele and vultilion on Flickr).  Only the files are read; the packages
are not imported.  Test pictures are never trained on, but eleven photographs are few: figures compare quantizers and
say nothing about tokenizers trained on millions.  Not here: perceptual or adversarial losses.
Tests: tests/test_autoencoder.py.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from llvq_mini.errors import LLVQError
from llvq_mini.spherical import Quantizer

PATCH = 8
CONTENTS = ("shape", "plain")
GAIN = 0.01
"""The smallest gain, 2.5 of 255 gray levels: flatter patches are not worth amplifying."""
TRAIN = ("astronaut.png", "rocket.jpg", "ihc.png", "retina.jpg", "hubble_deep_field.jpg", "china.jpg", "brick.png",
         "grass.png")  # fmt: skip
TEST = ("chelsea.png", "coffee.png", "flower.jpg")
_WHERE = dict.fromkeys((*TRAIN, *TEST), ("scikit-image", "skimage/data"))
_WHERE |= dict.fromkeys(("china.jpg", "flower.jpg"), ("scikit-learn", "sklearn/datasets/images"))


def _path(name: str) -> Path:
    package, folder = _WHERE[name]
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(f"{folder}/{name}")))
    except importlib.metadata.PackageNotFoundError as error:
        raise LLVQError(
            f"Picture {name} is in the package {package}: pip install --no-deps {package}"
        ) from error
    if not path.is_file():
        raise LLVQError(
            f"Picture {name} is not in the installed {package}; reinstall scikit-image 0.26 or newer."
        )
    return path


def read_picture(path: str | Path) -> Tensor:
    """A picture file as RGB, float32 (3, H, W) in [0, 1], cropped to multiples of 8.  LLVQError for other files."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise LLVQError(f"Cannot read {path} as a picture: {error}") from error
    height, width = (n - n % PATCH for n in pixels.shape[:2])
    if not height or not width:
        raise LLVQError(f"Picture {path} is smaller than {PATCH} x {PATCH}.")
    return torch.from_numpy(pixels[:height, :width].copy()).permute(2, 0, 1).float() / 255


def as_float(picture: Tensor) -> Tensor:
    """A picture in [0, 1] of one in bytes 0 ... 255, which take a quarter of the memory; others as they are."""
    return picture.float() / 255 if picture.dtype == torch.uint8 else picture


def bundled_pictures() -> tuple[list[Tensor], list[Tensor]]:
    """The training and the test photographs."""
    return [read_picture(_path(name)) for name in TRAIN], [read_picture(_path(name)) for name in TEST]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(last.weight)  # blocks start as the identity: short runs then train evenly
        first = nn.Conv2d(width, width, 3, padding=1)
        self.body = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), first, nn.GroupNorm(8, width), nn.SiLU(), last
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def base_and_gain(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The side information of "shape", after rounding: base pictures like `pictures`, gains (n, 1, H, W)."""
    means = (255 * functional.avg_pool2d(pictures, PATCH)).round() / 255
    base = functional.interpolate(means, scale_factor=PATCH, mode="bilinear")
    power = functional.avg_pool2d((pictures - base).square().mean(dim=1, keepdim=True), PATCH)
    step = (power.clamp_min(1e-12).log2() - math.log2(GAIN**2)).round().clamp(0, 15)  # of sqrt 2 in the root
    return base, functional.interpolate(GAIN * torch.exp2(step / 2), scale_factor=PATCH)


class Autoencoder(nn.Module):
    """Encoder, quantizer, decoder.  width: hidden channels, a multiple of 8; depth: blocks on each side."""

    def __init__(self, quantizer: Quantizer, width: int = 96, depth: int = 1, content: str = "shape") -> None:
        super().__init__()
        if content not in CONTENTS:
            raise ValueError(f"Argument 'content' must be one of {CONTENTS}, got {content!r}.")
        self.content = content
        blocks = [_Residual(width) for _ in range(2 * depth)]
        self.encoder = nn.Sequential(nn.Conv2d(3, width, PATCH, PATCH), *blocks[:depth])
        self.decoder = nn.Sequential(*blocks[depth:], nn.ConvTranspose2d(width, 3, PATCH, PATCH))
        self.to_token = nn.Conv2d(width, quantizer.channels, 1)
        self.from_token = nn.Conv2d(quantizer.channels, width, 1)
        self.quantizer = quantizer
        some = torch.randint(quantizer.size, (1024,), generator=torch.Generator().manual_seed(0))
        self.scale = 1 / float(quantizer.codewords(some).square().mean().sqrt())

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (n, 3, H, W), H and W multiples of 8 -> reconstructions alike, indices (n, H/8, W/8), loss."""
        base, gain = base_and_gain(pictures) if self.content == "shape" else (0.5, 0.5)
        tokens = self.to_token(self.encoder((pictures - base) / gain)).movedim(1, -1)
        quantized, indices, loss = self.quantizer(tokens)
        shape = self.decoder(self.from_token(self.scale * quantized.movedim(-1, 1)))
        return base + gain * shape, indices, loss

    @property
    def bits_per_pixel(self) -> float:
        """Rate of the tokens: log2 of the size of the code, over the pixels of a patch."""
        return self.quantizer.bits * (self.quantizer.channels // self.quantizer.dim) / PATCH**2

    @property
    def side_bits_per_pixel(self) -> float:
        """Rate of the side information, as it is, without entropy coding."""
        return (3 * 8 + 4) / PATCH**2 if self.content == "shape" else 0.0


def crop_weights(pictures: Sequence[Tensor], size: int) -> Tensor:
    """How often `crops` draws each picture: in proportion to the root of the number of its crops.

    Raises ValueError where a picture is smaller than the crops.
    """
    heights, widths = (torch.tensor([p.shape[axis] - size + 1 for p in pictures]) for axis in (1, 2))
    if size < 1 or not len(pictures) or int(torch.minimum(heights, widths).min()) < 1:
        raise ValueError(f"Argument 'size' must not exceed the smallest picture, got {size}.")
    return (heights * widths).float().sqrt()


def crops(
    pictures: Sequence[Tensor],
    count: int,
    size: int,
    generator: torch.Generator,
    weights: Tensor | None = None,
) -> Tensor:
    """Random square crops, half of them mirrored: float32 (count, 3, size, size).

    pictures: (3, H, W), float in [0, 1] or uint8 in 0 ... 255.  weights: those of `crop_weights`, if at hand.
    """
    weights = crop_weights(pictures, size) if weights is None else weights
    out = []
    for number in torch.multinomial(weights, count, replacement=True, generator=generator).tolist():
        p = pictures[number]
        top, left = (int(torch.randint(n - size + 1, (), generator=generator)) for n in p.shape[1:])
        crop = as_float(p[:, top : top + size, left : left + size])
        out.append(crop.flip(-1) if torch.rand((), generator=generator) < 0.5 else crop)
    return torch.stack(out)


def train(
    make: Callable[[], Quantizer],
    pictures: Sequence[Tensor],
    steps: int,
    seed: int = 0,
    batch: int = 8,
    size: int = 64,
    rate: float = 2e-3,
    width: int = 96,
    depth: int = 1,
    content: str = "shape",
    device: str = "cpu",
    report: Callable[[int, float], None] | None = None,
) -> Autoencoder:
    """An autoencoder trained on random crops with AdamW, warmed up and then annealed by a cosine.

    make: builds the quantizer, after the seed is set.  report: called every 50 steps with
    (steps done, mean squared error over those 50).
    Returns: the model in evaluation mode.
    """
    torch.manual_seed(seed)
    model = Autoencoder(make(), width, depth, content).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(1.0, s / steps)))
    )
    generator = torch.Generator().manual_seed(seed)
    weights = crop_weights(pictures, size)
    recent: list[Tensor] = []
    for step in range(steps):
        x = crops(pictures, batch, size, generator, weights).to(device)
        y, _, auxiliary = model(x)
        error = functional.mse_loss(y, x)
        optimizer.zero_grad()
        (error + auxiliary).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent = [*recent[-49:], error.detach()]
        if report is not None and (step + 1) % 50 == 0:
            report(step + 1, float(torch.stack(recent).mean()))
    return model.eval()


def psnr(x: Tensor, y: Tensor) -> float:
    """Peak signal-to-noise ratio of two pictures in [0, 1], dB; inf where they are equal."""
    error = float((x - y).double().square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(x: Tensor, y: Tensor) -> float:
    """Structural similarity of two pictures (3, H, W) in [0, 1], at least 11 x 11."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    kernel = torch.exp(-(offsets**2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum()).to(x.device)

    x, y = x.double(), y.double()

    def blur(a: Tensor) -> Tensor:
        a = functional.conv2d(a[:, None], kernel.reshape(1, 1, 11, 1))
        return functional.conv2d(a, kernel.reshape(1, 1, 1, 11))

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    both = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    value = (
        (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    )
    return float(value.mean())


@torch.no_grad()
def reconstruct(model: Autoencoder, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction (3, H, W) in [0, 1] of a picture alike, and its indices."""
    y, indices, _ = model(as_float(picture)[None].to(next(model.parameters()).device))
    return y[0].clamp(0, 1).cpu(), indices[0].cpu()


def evaluate(model: Autoencoder, pictures: Sequence[Tensor]) -> dict[str, Any]:
    """PSNR and SSIM (means over pictures), bits a pixel, distinct codewords, entropy of their frequencies in bits."""
    errors, indices = [], []
    for picture in map(as_float, pictures):
        y, codes = reconstruct(model, picture)
        errors.append((psnr(picture, y), ssim(picture, y)))
        indices.append(codes.reshape(-1))
    decibels, similarity = (sum(column) / len(errors) for column in zip(*errors, strict=True))
    codes = torch.cat(indices)
    share = codes.unique(return_counts=True)[1].double() / len(codes)
    return {
        "psnr": decibels,
        "ssim": similarity,
        "bits_per_pixel": model.bits_per_pixel,
        "side_bits_per_pixel": model.side_bits_per_pixel,
        "tokens": len(codes),
        "used": len(share),
        "usage_entropy_bits": float(-(share * share.log2()).sum()),
    }
