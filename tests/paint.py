"""Pictures that browsers really show."""

from __future__ import annotations

import struct
import zlib


def painted(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A PNG with a frame and a gradient of this colour: something that an eye can judge."""

    def pixel(x: int, y: int) -> bytes:
        if min(x, y, width - 1 - x, height - 1 - y) < 6:
            return bytes(colour)
        return bytes(255 - (255 - each) * x // width for each in colour)

    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    written = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)
