"""Pictures and what comes back from autoencoders, side by side under a slider for the bits (reconstructions.js).

The numbers of the slider are *stops*: each holds one reconstruction of every picture by every code that was trained for
about that many bits.  Pictures travel as PNG, lossless, in the state of the widget; so keep them small and few
(150 x 150 pixels are some 40 kB).  PSNR is that of the 8-bit pixels shown, 10 log10(255^2 / MSE), and belongs to the
piece of the picture that is seen, not to the whole test picture.

The view of errors lays the original over each reconstruction and shows the difference, brightened; style sheets can do
that, no pixel is computed.  Tests: tests/test_widgets.py, tests/browser/test_widget_reconstructions.py.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._png import png


class Reconstruction(NamedTuple):
    """What one autoencoder made: name of its code, bits of a token, one picture for each original, in their order."""

    code: str
    bits: float
    pictures: Sequence[ArrayLike]


def eight_bits(picture: ArrayLike, argument: str = "pictures") -> NDArray[np.uint8]:
    """A picture (3, h, w) or (h, w, 3), real in [0, 1], as uint8 (h, w, 3); ValueError for anything else."""
    a = np.asarray(picture)
    if a.ndim == 3 and a.shape[0] == 3 and a.shape[2] != 3:
        a = np.moveaxis(a, 0, 2)
    good = a.ndim == 3 and a.shape[2] == 3 and a.dtype.kind == "f" and a.size and np.isfinite(a).all()
    if not good or a.min() < 0 or a.max() > 1:
        raise ValueError(
            f"Argument '{argument}' must hold real pictures (3, h, w) or (h, w, 3) with values in 0 ... 1, "
            f"got {a.dtype} {a.shape}."
        )
    return np.rint(255 * a.astype(np.float64)).astype(np.uint8)


def psnr(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures, dB; 99 where they are equal, since JSON has no infinity."""
    error = np.mean((one.astype(np.float64) - two.astype(np.float64)) ** 2)
    return 99.0 if error == 0 else 10 * math.log10(255**2 / error)


class Reconstructions(Widget):
    """Originals and reconstructions, to be compared by eye and by PSNR.

    Args:
        pictures: name -> picture; see `eight_bits` for the form.
        stops: for each place of the slider, in ascending order of bits, the reconstructions shown there.
        patch: pixels that one token stands for, which turn bits a token into bits a pixel.
        picture, stop: number of the picture and of the stop shown at first.

    Raises:
        ValueError: no picture, an empty stop, a reconstruction of another shape than its original, a wrong number.
    """

    name = "reconstructions"

    def __init__(
        self,
        pictures: Mapping[str, ArrayLike],
        stops: Sequence[Sequence[Reconstruction]],
        patch: int = 64,
        picture: int = 0,
        stop: int = 0,
    ) -> None:
        originals = [eight_bits(p) for p in pictures.values()]
        if not originals or not stops or not all(stops):
            raise ValueError(
                "Arguments 'pictures' and 'stops' must hold a picture, and a reconstruction per stop."
            )
        for name, value, size in (("picture", picture, len(originals)), ("stop", stop, len(stops))):
            if not 0 <= value < size:
                raise ValueError(f"Argument '{name}' must be in 0 ... {size - 1}, got {value!r}.")
        super().__init__(
            names=list(pictures),
            originals=[png(p) for p in originals],
            sizes=[[p.shape[1], p.shape[0]] for p in originals],
            stops=[[_row(r, originals) for r in rows] for rows in stops],
            patch=int(patch),
            picture=int(picture),
            stop=int(stop),
            errors=False,  # whether differences are shown in place of pictures
        )

    def __repr__(self) -> str:
        return f"Reconstructions({len(self.state['names'])} pictures, {len(self.state['stops'])} stops)"

    def static_html(self) -> str:
        """The first picture at the first stop, and the table of this stop."""
        s = self.state
        rows = s["stops"][s["stop"]]
        head = "".join(
            f'<th scope="col">{html.escape(text)}</th>'
            for text in ("code", "bits a token", "bits a pixel", *(f"PSNR, {name}" for name in s["names"]))
        )
        body = "".join(
            f'<tr><th scope="row">{html.escape(row["code"])}</th><td>{row["bits"]:.2f}</td>'
            f"<td>{row['bits'] / s['patch']:.5f}</td>"
            + "".join(f"<td>{value:.2f}</td>" for value in row["psnr"])
            + "</tr>"
            for row in rows
        )
        return (
            f'<div class="llvq-w llvq-rc llvq-w-static"><div class="llvq-rc-picture">{self._svg(rows)}</div>'
            f'<div class="llvq-w-table"><table><caption>PSNR in dB of the pieces shown</caption><thead><tr>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table></div></div>"
        )

    def _svg(self, rows: list[dict[str, Any]]) -> str:
        """Original and reconstructions in a row, named below."""
        s = self.state
        at = s["picture"]
        width, height = s["sizes"][at]
        shown = [("original", s["originals"][at])]
        shown += [
            (f"{html.escape(row['code'])}, {row['psnr'][at]:.2f} dB", row["pictures"][at]) for row in rows
        ]
        step = width + 8
        parts = [
            f'<image href="{data}" x="{step * k}" y="0" width="{width}" height="{height}"/>'
            f'<text x="{step * k}" y="{height + 16}">{label}</text>'
            for k, (label, data) in enumerate(shown)
        ]
        label = f"{html.escape(s['names'][at])}: {'; '.join(label for label, _ in shown)}"
        box = f"0 0 {step * len(shown) - 8} {height + 24}"
        return f'<svg viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _row(r: Reconstruction, originals: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """A reconstruction as the page gets it."""
    pictures = [eight_bits(p, "stops") for p in r.pictures]
    if [p.shape for p in pictures] != [p.shape for p in originals]:
        raise ValueError(
            f"Argument 'stops' must hold, for '{r.code}', one picture of its original's shape each, "
            f"got {[p.shape for p in pictures]} for {[p.shape for p in originals]}."
        )
    return {
        "code": r.code,
        "bits": float(r.bits),
        "psnr": [round(psnr(a, b), 4) for a, b in zip(originals, pictures, strict=True)],
        "pictures": [png(p) for p in pictures],
    }
