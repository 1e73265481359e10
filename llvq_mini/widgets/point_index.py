"""An index and its lattice point, each to be edited (point_index.js): index.py at work, in the page.

Numbers below index.size(13) are the points of shells 0 ... 13.  The state of the widget is a list of 24 integers; if
they are a point of that ball, the page shows its index, its 48 bits and how the index is put together,

    index = first + ((position 2^bits) + signs) shapes + rank,

first the first index of the row (shell and kind), position that of the Golay word among the words of its kind, signs
the free signs of an even vector, rank the tree rank of the absolute shape among all shapes of the row.  If they are no
point, it shows which of the rules of leech.py fails:

    one parity  ->  Golay word  ->  sum = 4e (mod 8),    and norm <= 16 . 13.

The page gets tables from the arrays of _index_tables.py: rows, kinds, the tree and the values of all quads.  Counts
and ranks follow from them by the convolutions of the chapter, in JavaScript's exact integers.  `parts` and `rules`
exist in JavaScript, too; tests/test_widgets_compute.py compares decoding, encoding, parts, classes and rules with the
library.  Not here: other caps, and any search: the page finds no nearest point.  Sources: index.py, shells.py.  Tests:
tests/test_widgets_compute.py, tests/browser/test_widget_point_index.py.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from llvq_mini import golay, index, leech, shells
from llvq_mini._index_tables import KINDS, tables
from llvq_mini.widgets._base import Widget

CAP = 13


class Parts(NamedTuple):
    """How an index is put together (formula above).  kind: place in _index_tables.KINDS; words: how many it has."""

    shell: int
    kind: int
    first: int
    number: int
    position: int
    words: int
    bits: int
    signs: int
    rank: int
    shapes: int


def parts(code: int) -> Parts:
    """The parts of an index in 0 ... index.size(13) - 1."""
    t = tables(CAP)
    row = int(np.searchsorted(t.first, code, side="right")) - 1
    kind, first, shapes = int(t.row_kind[row]), int(t.first[row]), int(t.row_size[row])
    shell = next(m for m in range(CAP + 1) if code < index.size(m))
    choice, rank = divmod(code - first, shapes)
    if kind == 0:
        return Parts(shell, kind, first, choice, choice, 4096, 0, 0, rank, shapes)
    bits = int(t.sign_bits[kind])
    position, signs = choice >> bits, choice & ((1 << bits) - 1)
    words = int((t.word_kind == kind).sum())
    number = int(t.words[int(t.word_start[kind]) + position])
    return Parts(shell, kind, first, number, position, words, bits, signs, rank, shapes)


def rules(point: list[int]) -> list[bool | None]:
    """Whether the rules hold: one parity, Golay word, sum, ball.  Without one parity the two after it mean nothing."""
    e = point[0] & 1
    ball = sum(v * v for v in point) <= 16 * CAP
    if any((v & 1) != e for v in point):
        return [False, None, None, ball]
    word = sum((v - e >> 1 & 1) << i for i, v in enumerate(point))
    return [True, bool(golay.contains(word)), (sum(point) - 4 * e) % 8 == 0, ball]


def leader(point: list[int]) -> shells.Leader:
    """The class of a lattice point."""
    norm = sum(v * v for v in point)
    coset = point[0] & 1
    on = sorted((abs(v) for v in point if coset or v % 4 == 2), reverse=True)
    off = sorted((abs(v) for v in point if not coset and v % 4 == 0), reverse=True)
    return next(c for c in shells.classes(norm // 16) if c.values == (*on, *off) and c.coset == coset)


@cache
def page_tables() -> dict[str, Any]:
    """What the page computes with, from the library's arrays, as JSON.

    hamming, inverted: as in golay.py.  kinds: weights of the word in the three octads, -1 for odd.  first, kind,
    excess: of the rows.  left, right, root: the tree; nodes 0 ... 3 are the kinds of quads.  starts: for each kind of
    quad and each excess the number of its first quad, and the end; quads: four signed bytes each, in base64.
    """
    t = tables(CAP)
    limits = (2 * CAP - 3, CAP, CAP, CAP)  # even blocks have less excess
    kept, starts, count = [], [], 0
    for kind, limit in enumerate(limits):
        begin, end = int(t.quad_start[kind, 0]), int(t.quad_start[kind, limit + 1])
        starts.append((t.quad_start[kind, : limit + 2] - begin + count).tolist())
        kept.append(t.quad[begin:end])
        count += end - begin
    return {
        "hamming": golay.HAMMING.tolist(),
        "inverted": golay.HAMMING_INVERTED.tolist(),
        "kinds": [list(kind) for kind in KINDS],
        "first": t.first.tolist(),
        "kind": t.row_kind.tolist(),
        "excess": t.row_excess.tolist(),
        "left": t.left.tolist(),
        "right": t.right.tolist(),
        "root": t.block_node.tolist(),
        "starts": starts,
        "quads": base64.b64encode(np.concatenate(kept).tobytes()).decode("ascii"),
    }


def page_bytes() -> int:
    """Bytes of these tables in the page."""
    return len(json.dumps(page_tables(), separators=(",", ":")))


class PointIndex(Widget):
    """The index of a point of the ball of 13 shells, and the point of an index.

    Args:
        code: the index shown at first.

    Raises:
        ValueError: `code` is outside 0 ... index.size(13) - 1.
    """

    name = "point_index"

    def __init__(self, code: int = 3_141_592_653_589) -> None:
        size = index.size(CAP)
        if not 0 <= code < size:
            raise ValueError(f"Argument 'code' must be in 0 ... {size - 1}, got {code!r}.")
        super().__init__(
            tables=page_tables(),
            size=size,
            sizes=[index.size(m) for m in range(CAP + 1)],
            point=index.decode(np.array([code]), CAP)[0].tolist(),
        )

    def __repr__(self) -> str:
        return f"PointIndex({self._code()})"

    def _code(self) -> int:
        return int(index.encode(np.array([self.state["point"]]), CAP)[0])

    def static_html(self) -> str:
        """The 24 coordinates, the bits of the index and its parts."""
        point, code = self.state["point"], self._code()
        p = parts(code)
        kind = "odd" if p.kind == 0 else f"even, word weights {' + '.join(map(str, KINDS[p.kind]))}"
        word = f"{p.position:,} (number {p.number})" if p.kind else f"number {p.number}"
        rows = (
            ("shell", str(p.shell), f"{shells.size(p.shell):,}"),
            ("kind", kind, f"{len(KINDS)}"),
            ("Golay word", word, f"{p.words:,}"),
            ("free signs", f"{p.signs:0{p.bits}b}" if p.bits else "none", f"{2**p.bits:,}"),
            ("shape", f"{p.rank:,}", f"{p.shapes:,}"),
        )
        body = "".join(
            f'<tr><th scope="row">{name}</th><td>{value}</td><td>{count}</td></tr>'
            for name, value, count in rows
        )
        head = "".join(f'<th scope="col">{text}</th>' for text in ("part", "value", "of"))
        bits = f"{code:048b}"
        groups = " ".join(bits[at : at + 8] for at in range(0, 48, 8))
        return (
            f'<div class="llvq-w llvq-pi llvq-w-static"><p class="llvq-w-status">Index {code:,}</p>'
            f'<div class="llvq-pi-picture">{_svg(point)}</div><p class="llvq-pi-code">{groups}</p>'
            f'<div class="llvq-w-table"><table><caption>The parts of the index</caption><thead><tr>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table></div></div>"
        )


def _svg(point: list[int]) -> str:
    """The coordinates in six columns of four, numbered downwards; filled where they are on the Golay word."""
    assert leech.contains(np.array([point]))[0]
    e, cells = point[0] & 1, []
    for i, value in enumerate(point):
        column, row, octad = i >> 2, i & 3, i >> 3
        x, y = 54 * column + 9 * octad + 3, 54 * row + 3
        on = value - e >> 1 & 1
        inside = " in" if on else ""
        look = f"f{octad} {'on' if on else 'off'}"
        cells.append(f'<rect class="{look}" x="{x}" y="{y}" width="48" height="48" rx="8"/>')
        cells.append(f'<text class="at{inside}" x="{x + 5}" y="{y + 13}">{i}</text>')
        shown = str(value).replace("-", "−")
        cells.append(
            f'<text class="value{inside}" x="{x + 24}" y="{y + 33}" text-anchor="middle">{shown}</text>'
        )
    label = f"24 coordinates in six columns of four, numbered downwards: {', '.join(map(str, point))}."
    return f'<svg viewBox="0 0 348 222" role="img" aria-label="{label}">{"".join(cells)}</svg>'
