"""Make a picture smaller: at most 256 colours, in a palette.

A picture of the console has few colours, and many that only smooth the edges of letters. Nobody sees these replaced by
their neighbours.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # By colour type: RGB, and RGB with transparency.
_MOST = 256

Colour = tuple[int, int, int]


def with_palette(png: bytes) -> bytes:
    """Return a PNG with at most 256 of its colours, each other colour replaced by the nearest of them.

    Args:
        png: A PNG with eight bits per channel, in RGB, that is not interlaced. Its transparency is ignored.

    Raises:
        ValueError: It has another form.
    """
    chunks = list(_chunks(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError(f"A PNG of colour type {kind} with {depth} bits, interlaced {interlaced}, cannot be read.")
    step = _CHANNELS[kind]
    data = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    rows = [
        list(zip(row[::step], row[1::step], row[2::step], strict=True))
        for row in _rows(data, width * step, height, step)
    ]
    counts = Counter(colour for row in rows for colour in row)
    palette, index = _chosen(counts)
    pixels = b"".join(b"\0" + bytes(index[colour] for colour in row) for row in rows)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(channel for colour in palette for channel in colour)),
            _chunk(b"IDAT", zlib.compress(pixels, 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chosen(counts: Counter[Colour]) -> tuple[list[Colour], dict[Colour, int]]:
    """Return a palette, and the place in it of the nearest colour to each colour.

    The next colour is always the one whose pixels would change most without it: frequent, or unlike all others.
    """
    palette: list[Colour] = []
    index: dict[Colour, int] = {}
    distances = dict.fromkeys(counts, 3 * 255**2 + 1)
    while len(palette) < _MOST and any(distances.values()):
        chosen = max(counts, key=lambda colour: counts[colour] * distances[colour])
        for colour, distance in distances.items():
            if (nearer := _distance(chosen, colour)) < distance:
                distances[colour] = nearer
                index[colour] = len(palette)
        palette.append(chosen)
    return palette, index


def _distance(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(_SIGNATURE):
        raise ValueError("This is no PNG.")
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(data: bytes, width: int, height: int, step: int) -> Iterator[bytearray]:
    """Yield each row of bytes, after its filter is undone."""
    above = bytearray(width)
    for number in range(height):
        start = number * (width + 1)
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + width])
        for at in range(width) if kind else ():
            left = row[at - step] if at >= step else 0
            corner = above[at - step] if at >= step else 0
            row[at] = (row[at] + _predicted(kind, left, above[at], corner)) & 255
        yield row
        above = row


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    match kind:
        case 1:
            return left
        case 2:
            return above
        case 3:
            return (left + above) // 2
        case _:
            base = left + above - corner
            return min((left, above, corner), key=lambda each: abs(base - each))
