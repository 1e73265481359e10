"""The Golay code to play with: bits to flip, the nearest code words, the sextet of a tie (golay_playground.js).

The picture has six columns of four.  Coordinate i, which is bit i, lies in column i // 4 and row i mod 4; columns 2o
and 2o + 1 are octad o of golay.py.  In these coordinates any two columns make a code word of weight 8: the columns
are a *sextet*, as in R. Curtis's Miracle Octad Generator, which arranges the same code in the same shape.

The page computes everything itself.  It gets the sixteen words h(a) and the sixteen words g(x), 32 bytes, makes the
4096 code words of them as golay.py does, and looks at all of them for the nearest.  Of four errors the six nearest
words differ from the received one in six disjoint sets of four that fill the 24 places; they are called A to F by
ascending number of the word, so that A is what golay.decode_hard returns.  The syndrome is that of the chapter:

    bit n = parity of the overlap with the generator of number 2^n,    n = 0 ... 11.

`nearest` and `syndrome` exist in JavaScript, too; tests/test_widgets_compute.py compares the two with each other and
with the library.  Not here: soft decoding.  Sources: golay.py; R. Curtis, Math. Proc. Camb. Phil. Soc. 79 (1976), for
the picture.  Tests: tests/test_widgets_compute.py, tests/browser/test_widget_golay.py.
"""

from __future__ import annotations

import numpy as np

from llvq_mini import golay
from llvq_mini.widgets._base import Widget

START = sum(1 << i for i in (0, 1, 3, 4, 15, 17, 23, 12))
"""An octad with two errors: 9 is missing, 12 is one too many."""
_COLORS = ("f0", "f1", "f2")


def nearest(word: int) -> tuple[int, list[int]]:
    """Distance of a 24-bit word to the code, and the numbers of the nearest words, ascending: one, or six at 4."""
    distances = golay.weight(golay.WORDS ^ np.uint32(word))
    least = int(distances.min())
    return least, np.flatnonzero(distances == least).tolist()


def syndrome(word: int) -> int:
    """Twelve overlap parities with the generators of numbers 1, 2, 4 ... 2048, as bits 0 ... 11; 0 for code words."""
    parities = golay.weight(golay.WORDS[[1 << n for n in range(12)]] & np.uint32(word)) & 1
    return sum(int(bit) << n for n, bit in enumerate(parities))


class GolayPlayground(Widget):
    """24 bits to flip with mouse, finger or keyboard, and what the code makes of them.

    Args:
        word: the bits at first, coordinate i as bit i.
        marks: whether the bits that decoding would flip are marked at first.

    Raises:
        ValueError: `word` is outside 0 ... 2^24 - 1.
    """

    name = "golay_playground"

    def __init__(self, word: int = START, marks: bool = True) -> None:
        if not 0 <= word < 1 << 24:
            raise ValueError(f"Argument 'word' must be in 0 ... 2**24 - 1, got {word!r}.")
        super().__init__(
            hamming=golay.HAMMING.tolist(),
            inverted=golay.HAMMING_INVERTED.tolist(),
            word=int(word),
            sent=int(golay.WORDS[nearest(word)[1][0]]),
            marks=bool(marks),
        )

    def __repr__(self) -> str:
        return f"GolayPlayground({self.state['word']:#08x})"

    def static_html(self) -> str:
        """The grid, with the bits that decoding flips marked, and the nearest word octad by octad."""
        word = self.state["word"]
        distance, numbers = nearest(word)
        number = numbers[0]
        own = int(golay.WORDS[number])
        x, a, b = number >> 8, number >> 4 & 15, number & 15
        rows = []
        for o, h in enumerate((a, b, a ^ b)):
            bytes8 = (word >> 8 * o, own >> 8 * o, golay.HAMMING[h], golay.HAMMING_INVERTED[x])
            cells = "".join(f"<td>{_eight(int(byte))}</td>" for byte in bytes8)
            rows.append(f'<tr><th scope="row">{o}</th>{cells}</tr>')
        head = "".join(f'<th scope="col">{text}</th>' for text in ("octad", "yours", "nearest", "h", "g"))
        caption = f"Nearest word number {number}, x = {x}, a = {a}, b = {b}, at distance {distance}"
        return (
            f'<div class="llvq-w llvq-gp llvq-w-static"><div class="llvq-gp-picture">{_svg(word, own)}</div>'
            f'<div class="llvq-w-table"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></div>"
        )


def _eight(byte: int) -> str:
    """The eight low bits of an integer, bit 0 first."""
    return "".join(str(byte >> i & 1) for i in range(8))


def _svg(word: int, own: int) -> str:
    """The six columns; ringed are the bits in which the word differs from the code word `own`."""
    parts = []
    for i in range(24):
        column, row, octad = i >> 2, i & 3, i >> 3
        x, y = 54 * column + 9 * octad + 3, 54 * row + 3
        on, differs = word >> i & 1, (word ^ own) >> i & 1
        look = f"{_COLORS[octad]} {'on' if on else 'off'}{' ring' if differs else ''}"
        inside = " in" if on else ""
        parts.append(f'<rect class="{look}" x="{x}" y="{y}" width="48" height="48" rx="8"/>')
        parts.append(f'<text class="at{inside}" x="{x + 5}" y="{y + 13}">{i}</text>')
        parts.append(
            f'<text class="value{inside}" x="{x + 24}" y="{y + 33}" text-anchor="middle">{on}</text>'
        )
    differing = [i for i in range(24) if (word ^ own) >> i & 1]
    told = f"decoding flips {', '.join(map(str, differing))}" if differing else "it is a code word"
    label = f"24 bits in six columns of four, numbered downwards; {told}."
    return f'<svg viewBox="0 0 348 222" role="img" aria-label="{label}">{"".join(parts)}</svg>'
