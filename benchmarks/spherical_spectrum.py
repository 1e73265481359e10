"""When does an even code on the sphere pay?  Linear autoencoders on sources with a known spectrum.

    python benchmarks/spherical_spectrum.py         # about two minutes on one core; writes
                                                    # benchmarks/results/spherical_spectrum.json
    python benchmarks/spherical_spectrum.py --quick # fewer samples; prints only

An autoencoder without its network: principal components, each scaled by (its variance)^(-p/2), a random rotation,
the quantizer, and the linear decoder that is best for its codewords (least squares).  p = 0 keeps the spectrum, p = 1
whitens it; the best p of a grid is chosen on one half of the samples, for every code by itself, and the other half is
tested.

    SNR     10 log10(variance / mean squared error), dB
    bound   the rate-distortion function of a Gaussian source with that spectrum at the bits of the Leech code, dB

Sources: Gaussian with variances k^-s, k = 1 ... 48, from white (s = 0) to steep; the same with a random strength for
each sample (the absolute value of a Laplace variable), which is what edges and flat parts do to patches; and patches of
the training photographs, plain, without the base picture, and divided by their gain (llvq_mini/autoencoder.py).

Prints a table for people and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import unfold

from llvq_mini import autoencoder
from llvq_mini.files import write_json
from llvq_mini.report import provenance
from llvq_mini.spherical import Quantizer, SphericalLeech
from llvq_mini.spherical_rivals import BSQ, FSQ

RESULT = Path(__file__).parent / "results" / "spherical_spectrum.json"
CODES: dict[str, Callable[[], Quantizer]] = {
    "Leech": SphericalLeech,
    "BSQ": lambda: BSQ(18, entropy=0.0),
    "FSQ": FSQ,
}
SLOPES = tuple(s / 4 for s in range(9))
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def gaussian(slope: float, count: int, seed: int, heavy: bool = False) -> Tensor:
    """Samples (count, 48) with variances k^-slope; heavy: each times the absolute value of a Laplace variable."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 48, generator=generator, dtype=torch.float64)
    x = x * torch.arange(1, 49, dtype=torch.float64).pow(-slope / 2)
    if heavy:
        x = x * -torch.rand(count, 1, generator=generator, dtype=torch.float64).log()
    return x


def patches(kind: str, count: int, seed: int) -> Tensor:
    """Patches (count, 192) of the training photographs: plain, residual or shape."""
    crops = autoencoder.crops(
        autoencoder.bundled_pictures()[0], count // 64 + 1, 64, torch.Generator().manual_seed(seed)
    )
    base, gain = autoencoder.base_and_gain(crops)
    x = {"plain": crops, "residual": crops - base, "shape": (crops - base) / gain}[kind]
    x = unfold(x, autoencoder.PATCH, stride=autoencoder.PATCH).transpose(1, 2).flatten(0, 1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order[:count]].double()


def variances(x: Tensor) -> tuple[Tensor, Tensor]:
    """Principal variances, largest first, and directions as columns."""
    values, vectors = torch.linalg.eigh(torch.cov(x.T))
    return values.flip(0).clamp_min(1e-12), vectors.flip(1)


def bound(values: Tensor, bits: float) -> float:
    """SNR in dB of the rate-distortion function at `bits` a sample: reverse water-filling, by bisection."""
    low, high = float(values[-1]) * 1e-6, float(values[0])
    for _ in range(200):
        level = math.sqrt(low * high)
        rate = float((values / level).clamp_min(1).log2().sum()) / 2
        low, high = (level, high) if rate > bits else (low, level)
    return -10 * math.log10(float(values.clamp_max(low).sum() / values.sum()))


def linear(make: Callable[[], Quantizer], x: Tensor, power: float, seed: int) -> tuple[float, float]:
    """SNR in dB on the first half of x, to which the decoder is fitted, and on the second."""
    quantizer = make()
    n, half = quantizer.dim, len(x) // 2
    mean = x[:half].mean(dim=0)
    values, vectors = variances(x[:half])
    scale = values[:n].pow(-power / 2)
    scale = scale / (values[:n] * scale.square()).mean().sqrt()  # the size matters to FSQ alone
    noise = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    encoder = (vectors[:, :n] * scale) @ torch.linalg.qr(noise)[0]
    z = quantizer(0.7 * (x - mean) @ encoder)[0]
    z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    decoder = torch.linalg.lstsq(z[:half], x[:half], driver="gelsd").solution
    error = (z @ decoder - x).square().sum(dim=1)
    whole = (x - mean).square().sum(dim=1)
    return tuple(
        -10 * math.log10(float(error[s].sum() / whole[s].sum())) for s in (slice(half), slice(half, None))
    )


def measure(name: str, sample: Callable[[int], Tensor], seeds: int) -> dict[str, Any]:
    """A row: SNR of every code (mean and spread over seeds), the paired gain of Leech over BSQ, the bound."""
    snr: dict[str, list[float]] = {code: [] for code in CODES}
    bounds, effective = [], []
    for seed in range(seeds):
        x = sample(seed)
        values = variances(x)[0]
        bounds.append(bound(values, SphericalLeech().bits))
        effective.append(float(values.sum().square() / values.square().sum()))
        for code, make in CODES.items():
            snr[code].append(max(linear(make, x, power, seed) for power in POWERS)[1])
    gain = [a - b for a, b in zip(snr["Leech"], snr["BSQ"], strict=True)]
    row = {
        "source": name,
        "effective_dimensions": statistics.fmean(effective),
        "bound": statistics.fmean(bounds),
    }
    row |= {"snr": {code: _spread(v) for code, v in snr.items()}, "leech_over_bsq": _spread(gain)}
    print(
        f"{name:26}{row['effective_dimensions']:8.2f}{row['bound']:8.2f}"
        + "".join(f"{row['snr'][code][0]:9.3f}" for code in CODES)
        + f"{row['leech_over_bsq'][0]:9.3f} ± {row['leech_over_bsq'][1] or 0:.3f}",
        flush=True,
    )
    return row


def _spread(values: list[float]) -> list[float | None]:
    return [statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples, one seed; nothing is written")
    options = parser.parse_args()
    count, seeds = (4_000, 1) if options.quick else (16_000, 3)
    print(f"{'source':26}{'eff.dim':>8}{'bound':>8}" + "".join(f"{c:>9}" for c in CODES) + "   Leech - BSQ")
    rows = []
    for heavy in (False, True):
        for slope in SLOPES[:: 2 if heavy or options.quick else 1]:
            title = f"{'heavy' if heavy else 'Gaussian'}, k^-{slope:g}"
            row = measure(title, lambda seed, s=slope, h=heavy: gaussian(s, count, seed, h), seeds)
            rows.append(row | {"kind": "heavy" if heavy else "gaussian", "slope": slope})
    for kind in ("plain", "residual", "shape"):
        row = measure(f"patches, {kind}", lambda seed, k=kind: patches(k, count, seed), seeds)
        rows.append(row | {"kind": "patches", "content": kind})
    if not options.quick:
        settings = {"samples": count, "seeds": seeds, "powers": POWERS}
        write_json(RESULT, {"meta": provenance(), "settings": settings, "rows": rows})
    gains = {row["source"]: row["leech_over_bsq"][0] for row in rows}
    print(json.dumps({"benchmark": "spherical_spectrum", "leech_over_bsq": gains}))


if __name__ == "__main__":
    main()
