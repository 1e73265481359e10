"""How the families of codes look in a plot: a color for each group, a shape for each family.

Color alone distinguishes nothing: no two families share shape and filling.  The Leech codes, the subject of the book,
are filled, their rivals hollow.  Twenty families are too many for one look, so a few are shown at first.  A family that
is not listed here comes last, in the group "other".  Tests: tests/test_widgets.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: outlines about (0, 0), some 10 units wide
SHAPES = {
    "disc": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "square": "M-4 -4H4V4H-4Z",
    "triangle": "M0 -5.2L4.9 3.8H-4.9Z",
    "diamond": "M0 -5.6L5.6 0L0 5.6L-5.6 0Z",
    "nabla": "M0 5.2L4.9 -3.8H-4.9Z",
    "plus": "M-1.7 -5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "star": "M0 -6L1.5 -2L5.7 -1.9L2.4 0.8L3.5 4.9L0 2.5L-3.5 4.9L-2.4 0.8L-5.7 -1.9L-1.5 -2Z",
    "hexagon": "M-2.6 -4.5H2.6L5.2 0L2.6 4.5H-2.6L-5.2 0Z",
    "pentagon": "M0 -5.3L5 -1.6L3.1 4.3H-3.1L-5 -1.6Z",
    "cross": "M-2.4 -4.8L0 -2.4L2.4 -4.8L4.8 -2.4L2.4 0L4.8 2.4L2.4 4.8L0 2.4L-2.4 4.8L-4.8 2.4L-2.4 0L-4.8 -2.4Z",
    "left": "M-5.2 0L3.8 -4.9V4.9Z",
    "right": "M5.2 0L-3.8 -4.9V4.9Z",
    "bar": "M-5.5 -2H5.5V2H-5.5Z",
    "post": "M-2 -5.5H2V5.5H-2Z",
    "hourglass": "M-4.3 -4.5H4.3L-4.3 4.5H4.3Z",
}

#: group -> its families as (family, shape, shown at first); a group's color is its place here
GROUPS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "scalar": (
        ("uniform scalar", "pentagon", False),
        ("Lloyd-Max scalar", "disc", True),
        ("entropy-coded scalar", "bar", True),
    ),
    "Leech lattice": (
        ("Leech ball", "disc", True),
        ("Leech shape-gain", "square", True),
        ("Leech shell", "hexagon", False),
        ("Leech tapered", "nabla", False),
        ("Leech interlocked", "star", True),
        ("Leech two-stage", "triangle", True),
        ("Leech Voronoi", "plus", False),
        ("Leech entropy-coded", "diamond", True),
    ),
    "other lattices": (
        ("E8 ball", "hexagon", False),
        ("E8P12", "diamond", True),
        ("pyramid", "triangle", False),
    ),
    "learned": (
        ("k-means", "left", False),
        ("residual k-means", "right", False),
        ("additive", "hourglass", False),
    ),
    "trellis": (("trellis L = 12", "square", False), ("trellis L = 16", "cross", True)),
    "binary": (("BSQ", "nabla", False), ("LFQ", "post", False), ("FSQ", "plus", False)),
}
FILLED = "Leech lattice"


def looks(families: Iterable[str]) -> list[dict[str, Any]]:
    """The families that occur, in the order of `GROUPS`, as JSON-able records.

    Each has family, group, color (0 ... 5), path (of the mark), filled and shown (at first).
    """
    present = list(dict.fromkeys(families))
    found = [
        (group, color, *row)
        for color, (group, rows) in enumerate(GROUPS.items())
        for row in rows
        if row[0] in present
    ]
    known = {family for _, _, family, _, _ in found}
    unknown = [family for family in present if family not in known]
    shapes = list(SHAPES)
    found += [("other", i % 6, family, shapes[i % len(shapes)], True) for i, family in enumerate(unknown)]
    return [
        {
            "family": family,
            "group": group,
            "color": color,
            "path": SHAPES[shape],
            "filled": group == FILLED,
            "shown": shown,
        }
        for group, color, family, shape, shown in found
    ]
