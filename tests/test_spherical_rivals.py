"""The rivals: one interface, closed forms, losses that do what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from llvq_mini import kissing
from llvq_mini.spherical import SphericalLeech
from llvq_mini.spherical_rivals import (
    BSQ,
    FSQ,
    LFQ,
    LearnedVQ,
    SphericalList,
    fibonacci_sphere,
    leech_class,
    nearest_row,
    random_sphere,
)

MAKERS = {
    "leech": SphericalLeech,
    "bsq": BSQ,
    "lfq": LFQ,
    "fsq": FSQ,
    "vq": lambda: LearnedVQ(64),
    "random": lambda: random_sphere(300),
    "fibonacci": lambda: fibonacci_sphere(300),
    "pairs": lambda: leech_class(1_104),
}


@pytest.mark.parametrize("name", MAKERS)
def test_one_interface(name):
    torch.manual_seed(0)
    module = MAKERS[name]().train()
    x = torch.randn(4, 7, module.dim, requires_grad=True)
    quantized, indices, loss = module(x)
    assert quantized.shape == x.shape and indices.shape == (4, 7) and loss.shape == ()
    (quantized.square().sum() + (quantized * torch.randn_like(x)).sum() + loss).backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    module.eval()
    quantized, indices, loss = module(x.detach())
    assert loss == 0 and torch.allclose(module.indices_to_codes(indices), quantized, atol=1e-6)
    assert module.bits == pytest.approx(math.log2(module.size))
    again = module(
        module.indices_to_codes(indices) if name != "fsq" else torch.atanh(quantized.clamp(-0.999, 0.999))
    )
    assert torch.equal(again[1], indices)
    assert module(x.detach().half())[0].dtype == torch.float16


def test_several_tokens_in_a_row_of_channels():
    module = BSQ(6, channels=18).eval()
    x = torch.randn(5, 18)
    assert torch.equal(
        module(x)[1], torch.stack([BSQ(6).eval()(part)[1] for part in x.split(6, dim=1)], dim=1)
    )


def test_bsq_mean_cosine():
    """E |z_1| sqrt(d) for a uniform direction: Gamma(d/2) / Gamma((d+1)/2) sqrt(d / pi)."""
    x = torch.randn(200_000, 18, generator=torch.Generator().manual_seed(0))
    cosine = (BSQ(18).eval()(x)[0] * x).sum(dim=-1) / x.norm(dim=-1)
    exact = math.sqrt(18 / math.pi) * math.exp(math.lgamma(9) - math.lgamma(9.5))
    assert float(cosine.mean()) == pytest.approx(exact, rel=1e-3)


def test_entropy_loss_is_that_of_the_codewords():
    """For few bits, p(c | z) can be written out over all codewords."""
    module = BSQ(3, entropy=1.0, commit=0.0, tau=2.5).train()
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    z = torch.nn.functional.normalize(x, dim=-1)
    p = torch.softmax(-2.5 * torch.cdist(z, module.codewords(torch.arange(8))) ** 2, dim=-1)
    sure = -(p * p.log()).sum(dim=-1).mean()
    bits = torch.arange(8)[:, None] >> torch.arange(3) & 1
    marginal = (p.mean(dim=0)[:, None] * (1 - bits)).sum(dim=0)
    used = -(marginal * marginal.log() + (1 - marginal) * (1 - marginal).log()).sum()
    assert float(module(x)[2]) == pytest.approx(float((sure - used).detach()) / 2.5, abs=1e-5)


def test_losses_can_be_turned_off():
    for make in (BSQ, LFQ):
        x = torch.randn(10, 18)
        assert make(entropy=0.0, commit=0.0).train()(x)[2] == 0
        assert make().train()(x)[2] != 0
        assert make().eval()(x)[2] == 0


def test_classes_of_the_leech_code_are_parts_of_it():
    x = torch.randn(200, 24, generator=torch.Generator().manual_seed(2))
    dots = [(x * leech_class(size)(x)[0]).sum(dim=-1) for size in (1_104, 97_152, 98_304)]
    whole = (x * SphericalLeech()(x)[0]).sum(dim=-1)
    assert torch.allclose(torch.stack(dots).amax(dim=0), whole, atol=1e-5)
    with pytest.raises(ValueError, match="Argument 'size'"):
        leech_class(100)


def test_nearest_row_in_blocks():
    x, rows = (8 * torch.randn(50, 5)).round(), (8 * torch.randn(30, 5)).round()  # exact sums: ties are ties
    rows[20:] = rows[:10]  # of equal rows the first wins, also across blocks
    whole = (x @ rows.T - rows.square().sum(dim=-1) / 2).argmax(dim=-1)
    assert (whole < 20).all()
    for block in (1, 7, 10, 64):
        assert torch.equal(nearest_row(x, rows, rows.square().sum(dim=-1) / 2, block), whole)
    assert nearest_row(x[:0], rows).shape == (0,)


def test_fibonacci_on_the_circle_and_the_sphere():
    angle = np.sort(np.degrees(np.arctan2(*fibonacci_sphere(500, 2).rows.numpy().T)))
    assert np.diff(angle).max() < 15 * 360 / 500  # no large hole; a random set has about twice the gap
    rows = fibonacci_sphere(4000, 24).rows
    assert torch.allclose(rows.norm(dim=-1), torch.ones(4000), atol=1e-5)
    assert rows.mean(dim=0).norm() < 0.3 * random_sphere(4000).rows.mean(dim=0).norm()


def test_learned_list_finds_clusters():
    torch.manual_seed(0)
    centers = 5 * torch.randn(8, 24)
    module = LearnedVQ(8, decay=0.8).train()
    module._start(centers + 0.5 * torch.randn(8, 24))
    module.rows.copy_(centers + 1.0 * torch.randn(8, 24))
    module.total.copy_(module.rows)
    for _ in range(30):
        module(centers[torch.randint(8, (128,))] + 0.1 * torch.randn(128, 24))
    assert torch.cdist(centers, module.rows).amin(dim=1).max() < 0.2


def test_refusals():
    with pytest.raises(ValueError, match="Argument 'bits'"):
        BSQ(0)
    with pytest.raises(ValueError, match="Argument 'levels'"):
        FSQ((1, 4))
    with pytest.raises(ValueError, match="Argument 'decay'"):
        LearnedVQ(8, decay=1.0)
    with pytest.raises(ValueError, match="Argument 'rows'"):
        SphericalList(torch.zeros(3))
    assert kissing.COUNT == sum((1_104, 97_152, 98_304))
