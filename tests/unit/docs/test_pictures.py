"""The pictures of the console: what makes them small, and that they are."""

from __future__ import annotations

import re
import struct
import zlib

import pytest

from docs.console.palette import with_palette
from tests.support.sources import ROOT

Colour = tuple[int, int, int]

PIXELS: list[list[Colour]] = [
    [(250, 10, 0), (250, 10, 0), (7, 200, 90)],
    [(3, 2, 1), (250, 10, 0), (255, 255, 255)],
    [(0, 0, 0), (7, 200, 90), (130, 131, 129)],
]


def png(rows: list[bytes], width: int, *, kind: int = 2, interlaced: int = 0) -> bytes:
    """Return a PNG with rows that begin with their filter."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, kind, 0, 0, interlaced)
    made = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")):
        made += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return made


def filtered(kind: int, step: int) -> list[bytes]:
    """Return the rows of `PIXELS` with a filter, as the specification of PNG defines it."""
    rows = [b"".join(bytes(colour) + b"\xff" * (step - 3) for colour in row) for row in PIXELS]
    above = bytes(len(rows[0]))
    made = []
    for row in rows:
        coded = bytearray([kind])
        for at, byte in enumerate(row):
            a, b = row[at - step] if at >= step else 0, above[at]
            c = above[at - step] if at >= step else 0
            nearest = sorted((abs(b - c), abs(a - c), abs(a + b - 2 * c)))[0]
            paeth = a if abs(b - c) == nearest else b if abs(a - c) == nearest else c
            coded.append((byte - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
        made.append(bytes(coded))
        above = row
    return made


def read(picture: bytes) -> list[list[Colour]]:
    """Return the pixels of a picture with a palette and without filters."""
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        name, content = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", picture, at + 8 + length) == (zlib.crc32(name + content),)
        chunks[name] = content
        at += 12 + length
    width, height, depth, kind = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert (depth, kind) == (8, 3)
    flat = chunks[b"PLTE"]
    palette: list[Colour] = [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3)]
    data = zlib.decompress(chunks[b"IDAT"])
    rows = [data[row * (width + 1) : (row + 1) * (width + 1)] for row in range(height)]
    assert {row[0] for row in rows} == {0}
    return [[palette[each] for each in row[1:]] for row in rows]


@pytest.mark.parametrize(("kind", "step"), [(2, 3), (6, 4)])
@pytest.mark.parametrize("filter_", range(5))
def test_a_picture_with_few_colours_keeps_its_pixels(filter_: int, kind: int, step: int) -> None:
    assert read(with_palette(png(filtered(filter_, step), 3, kind=kind))) == PIXELS


def test_a_rare_colour_becomes_the_nearest_frequent_one() -> None:
    frequent = [(number, 0, 0) for number in range(256)] * 20
    row = b"\0" + b"".join(map(bytes, [*frequent, (40, 3, 2)]))

    assert read(with_palette(png([row], 5121)))[0] == [*frequent, (40, 0, 0)]


@pytest.mark.parametrize(
    "picture",
    [b"GIF89a", png(filtered(0, 3), 3, interlaced=1), png([b"\0\1\2\3"], 3, kind=0)],
    ids=["gif", "lace", "grey"],
)
def test_a_picture_of_another_form_is_refused(picture: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        with_palette(picture)


def test_the_pictures_of_the_readme_have_at_most_300_kb() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", (ROOT / "README.md").read_text("utf-8"))

    assert len(shown) == 2
    assert sum((ROOT / each).stat().st_size for each in shown) <= 300_000
