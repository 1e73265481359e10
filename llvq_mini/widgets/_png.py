"""Small pictures inside a page: arrays as PNG data URIs, written with the standard library alone.

    png(a)      a uint8, (height, width) gray or (height, width, 3) RGB -> "data:image/png;base64,..."

A PNG file is a signature and chunks of length, type, data and checksum; the pixels are rows, each behind a byte that
names its filter, compressed with zlib.  Every row here has the filter "up", the difference to the row above, which
suits photographs and smooth reconstructions.  Lossless: what a reader compares is what the network made.
Source: W3C, Portable Network Graphics (Third Edition).  Tests: tests/test_widgets.py.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_UP = 2
_COLOR_TYPE = {1: 0, 3: 2}  # channels -> gray, RGB


def png(a: NDArray[np.uint8]) -> str:
    """A data URI of the picture `a`; ValueError for another dtype or shape."""
    rows = a[:, :, None] if a.ndim == 2 else a
    if rows.dtype != np.uint8 or rows.ndim != 3 or rows.shape[2] not in _COLOR_TYPE or 0 in rows.shape:
        raise ValueError(
            f"Argument 'a' must be uint8 of shape (h, w) or (h, w, 3), got {a.dtype} {a.shape}; scale to 0 ... 255."
        )
    height, width, channels = rows.shape
    differences = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1])).reshape(height, -1)  # modulo 256
    body = np.concatenate([np.full((height, 1), _UP, dtype=np.uint8), differences], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPE[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(body, 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode(
        "ascii"
    )
