"""The 196,560 minimal vectors, projected to a plane and colored (sphere_projection.js).

The page makes the vectors itself, from 32 bytes of the Golay code, in the order of leech.minimal_vectors; Python gives
it two planes.  Four can be chosen:

    rings     A symmetry of the lattice turns this plane by 1/78 of a circle.  Its eigenvalues are the 24 primitive 78th
              roots of unity, so no power of it but the 78th fixes a vector, and the vectors fall into 2,520 rings of
              78: what Coxeter's plane is to E8, where 240 vectors make 8 rings of 30.
    cycle     The Golay code has a symmetry that moves 23 coordinates in a cycle; it turns this plane by 1/23.
    hexagon   Spanned by the chosen minimal vector and the first that makes 60 degrees with it.
    side      The sphere from the side: upwards the inner product with the chosen vector, to the right a direction
              across it.  Seen from one vector, all others but its opposite lie on five circles of latitude.

The symmetry of order 78 is P^2 X P^16 X.  P permutes coordinates by the cycle of 23, and X does to every column of four
(golay_playground.py) x_i -> x_i - (sum of the four) / 2, then negates the first column; X is one of the elements with
which J. H. Conway leaves the monomial group.  The word in P and X was found by trying exponents.

Groups to highlight are the classes of the vectors (pairs, octads, words) or the seven angles to the chosen one.  There
are 1, 4600, 47104, 93150, 47104, 4600, 1 vectors at these angles whatever vector is chosen, since the symmetry group
carries every one to every other.  Source: J. H. Conway and N. J. A. Sloane, "Sphere Packings, Lattices and Groups",
chapters 10 and 14.  Tests: tests/test_widgets_sphere.py, tests/browser/test_widget_sphere_projection.py.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from llvq_mini import golay, leech
from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._png import png

CYCLE = (0, 1, 2, 3, 4, 8, 9, 18, 10, 22, 16, 17, 21, 11, 13, 7, 12, 5, 19, 14, 6, 23, 15)
"""Each coordinate goes to the place of the next one, the last to that of the first; coordinate 20 stays."""
PLANES = ("rings", "cycle", "hexagon", "side")
CLASSES = ("pairs", "octads", "words")
PRODUCTS = (32, 16, 8, 0, -8, -16, -32)
"""Inner products of two minimal vectors, |v|^2 = 32, by ascending angle."""
_ENDS = (1_104, 98_256, 196_560)
"""Where the classes end in the order of leech.minimal_vectors."""


def symmetry(name: str) -> NDArray[np.float64]:
    """The symmetry (24, 24) behind the plane 'rings' or 'cycle'; columns v go to `symmetry @ v`."""
    p = np.zeros((24, 24))
    p[20, 20] = 1
    p[np.roll(CYCLE, -1), CYCLE] = 1
    if name == "cycle":
        return p
    x = np.kron(np.eye(6), np.eye(4) - 0.5)
    x[:4] *= -1
    return np.linalg.matrix_power(p, 2) @ x @ np.linalg.matrix_power(p, 16) @ x


def order(name: str) -> int:
    """Part of a circle by which that symmetry turns its plane."""
    return {"rings": 78, "cycle": 23}[name]


@cache
def plane(name: str) -> NDArray[np.float64]:
    """Orthonormal basis (24, 2) of the plane 'rings' or 'cycle'; coordinate 0 is projected to the first axis."""
    values, vectors = np.linalg.eig(symmetry(name))
    one = vectors[:, np.abs(values - np.exp(2j * np.pi / order(name))).argmin()]
    one = one * (abs(one[0]) / one[0]) / np.linalg.norm(one)
    return math.sqrt(2) * np.stack([one.real, -one.imag], axis=1)


def by_angle(center: int) -> NDArray[np.int64]:
    """How many minimal vectors have the seven inner products with vector number `center`, by class: (7, 3)."""
    v = leech.minimal_vectors()
    products = v.astype(np.int16) @ v[center].astype(np.int16)
    parts = np.split(products, _ENDS[:2])
    return np.array([[int((part == product).sum()) for part in parts] for product in PRODUCTS])


class SphereProjection(Widget):
    """The minimal vectors in a plane, by class or by angle.

    Args:
        plane: one of PLANES.
        color: 'class' or 'angle'.
        center: number of the chosen vector in leech.minimal_vectors(), to which angles are taken.

    Raises:
        ValueError: another plane, color or number.
    """

    name = "sphere_projection"

    def __init__(self, plane: str = "rings", color: str = "class", center: int = 0) -> None:
        if plane not in PLANES:
            raise ValueError(f"Argument 'plane' must be one of {list(PLANES)}, got {plane!r}.")
        if color not in ("class", "angle"):
            raise ValueError(f"Argument 'color' must be 'class' or 'angle', got {color!r}.")
        if not 0 <= center < _ENDS[2]:
            raise ValueError(f"Argument 'center' must be in 0 ... {_ENDS[2] - 1}, got {center!r}.")
        super().__init__(
            hamming=golay.HAMMING.tolist(),
            inverted=golay.HAMMING_INVERTED.tolist(),
            planes=_planes(),
            plane=plane,
            color=color,
            center=int(center),
            group=-1,  # which class or angle is highlighted; -1 for all
        )

    def __repr__(self) -> str:
        return f"SphereProjection({self.state['plane']!r}, {self.state['color']!r}, {self.state['center']})"

    def static_html(self) -> str:
        """The rings, and the table of angles."""
        rows = []
        for product, counts in zip(PRODUCTS, by_angle(self.state["center"]).tolist(), strict=True):
            angle = f"{math.degrees(math.acos(product / 32)):.1f}°"
            cells = "".join(f"<td>{n:,}</td>" for n in (sum(counts), *counts))
            signed = str(product).replace("-", "−")
            rows.append(f'<tr><th scope="row">{angle}</th><td>{signed}</td>{cells}</tr>')
        head = "".join(f'<th scope="col">{text}</th>' for text in ("angle", "product", "vectors", *CLASSES))
        caption = f"The vectors by their angle to number {self.state['center']:,}"
        return (
            f'<div class="llvq-w llvq-sp llvq-w-static"><div class="llvq-sp-picture">{_svg()}</div>'
            f'<div class="llvq-w-table"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></div>"
        )


@cache
def _planes() -> dict[str, list[list[float]]]:
    return {name: np.round(plane(name), 7).T.tolist() for name in ("rings", "cycle")}


@cache
def _svg(size: int = 300, reach: float = 0.78) -> str:
    """The rings as a picture whose color is that of the page: brightness is a mask, logarithmic in the density."""
    points = leech.minimal_vectors() @ plane("rings") / math.sqrt(32)
    edges = np.linspace(-reach, reach, size + 1)
    density = np.histogram2d(-points[:, 1], points[:, 0], bins=[edges, edges])[0]
    shade = np.log1p(density) / np.log1p(density.max())
    data = png(np.where(density > 0, 40 + 215 * shade, 0).astype(np.uint8))
    label = "The minimal vectors projected to a plane with 78-fold symmetry: a disc of dotted rings, denser inwards."
    return (
        f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{label}"><mask id="llvq-sp-mask">'
        f'<image href="{data}" width="{size}" height="{size}"/></mask>'
        f'<rect class="disc" width="{size}" height="{size}" mask="url(#llvq-sp-mask)"/></svg>'
    )
