"""An image file of anyone's -> the same file without what its picture does not need, and its size from the header.

Text, profiles, comments, thumbnails and later frames never reach the decoder: it would parse them in loops
that a hostile file makes long, and keep copies that it makes large. Nothing is decoded here. What is damaged
raises whatever the damage leads to: `ValueError`, `IndexError` or `struct.error`.
"""

import re
import struct
from dataclasses import dataclass

# Scans of a JPEG file; each goes over the whole picture again, for as little as thirty bytes. Encoders write
# about ten.
_MOST_SCANS = 50
# Segments of a JPEG file, which a profile or a thumbnail of some megabytes fills by the hundred.
_MOST_SEGMENTS = 5_000

# Everything in entropy-coded data that is no data: not the stuffed FF 00, not the restarts FF D0 to FF D7.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Tables, restarts and line counts; with the frames and scans they are what the decoder needs.
_TABLES = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD}

_ORIENTATION = 0x0112
_SHORT = 3


@dataclass(frozen=True, slots=True)
class Slim:
    """A file that holds one picture and nothing else."""

    data: bytes
    width: int
    """In pixels."""
    height: int
    orientation: int = 1
    """Of EXIF, 1..8; 1 when there is none."""


def slim_png(data: bytes) -> Slim:
    """IHDR, PLTE, tRNS and one IDAT; of an animation the picture that is shown where animations are not."""
    kept: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    orientation = 1
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            pixels.append(data[at + 8 : at + 8 + length])
        elif name in (b"IHDR", b"PLTE", b"tRNS"):
            if length > 768:
                raise ValueError(f"a {name.decode()} chunk of {length} bytes")
            kept.setdefault(name, data[at : at + 12 + length])
        elif name == b"eXIf":
            orientation = _orientation(data[at + 8 : at + 8 + length])
        elif name == b"IEND":
            break
        elif not name.isalpha():
            raise ValueError("a chunk without a name")
        at += 12 + length
    width, height = struct.unpack_from(">II", kept.get(b"IHDR", b""), 8)
    if not pixels:
        raise ValueError("no image data")
    image = b"".join(pixels)
    parts = [data[:8], kept[b"IHDR"], kept.get(b"PLTE", b""), kept.get(b"tRNS", b"")]
    # Checksums of pixels are not looked at, zlib has its own.
    parts += [struct.pack(">I", len(image)), b"IDAT", image, bytes(8), b"IEND\xaeB`\x82"]
    return Slim(b"".join(parts), width, height, orientation)


def slim_jpeg(data: bytes) -> Slim:
    """Frame, tables and scans, with the two segments that tell how colours are coded."""
    parts = [b"\xff\xd8"]
    size: tuple[int, int] | None = None
    orientation, scans, colours, in_scan = 1, 0, set(), False
    at = 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if in_scan:
            parts.append(data[at : found.start() if found else len(data)])
        if found is None:
            break
        at, marker = found.end(), data[found.end() - 1]
        if marker in (_SOI, _TEM):
            continue
        if marker == _EOI:
            parts.append(b"\xff\xd9")
            break
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise ValueError(f"a segment of {length} bytes")
        segment = data[at : at + length]
        at += length
        in_scan = marker == _SOS
        if marker in _SIZED:
            if size is not None:
                raise ValueError("two frames")
            size = struct.unpack_from(">HH", segment, 3)[::-1]
        elif in_scan:
            scans += 1
            if scans > _MOST_SCANS:
                raise ValueError(f"more than {_MOST_SCANS} scans")
        elif marker == 0xE1 and segment[2:].startswith(b"Exif\0\0"):
            if orientation == 1:
                orientation = _orientation(segment[8:])
            continue
        elif (marker, segment[2:7]) in ((0xE0, b"JFIF\0"), (0xEE, b"Adobe")) and marker not in colours:
            colours.add(marker)
        elif marker not in _TABLES:
            continue
        parts += [b"\xff", bytes([marker]), segment]
    else:
        raise ValueError(f"more than {_MOST_SEGMENTS} segments")
    if size is None or not scans:
        raise ValueError("no image data")
    return Slim(b"".join(parts), *size, orientation)


def slim_gif(data: bytes) -> Slim:
    """The screen and the first picture on it, with its transparent colour."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _palette(flags)
    head, control = data[:at], b""
    while data[at] != 0x2C:
        if data[at] == 0x21:
            if data[at + 1 : at + 3] == b"\xf9\x04":
                # How the picture is disposed of matters to the next one only.
                control = data[at : at + 3] + bytes([data[at + 3] & 1]) + data[at + 4 : at + 8]
            at += 2
            while step := data[at]:
                at += 1 + step
        elif data[at]:
            raise ValueError("no image data")
        at += 1
    left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
    return Slim(head + control + data[at:], max(width, left + wide), max(height, top + high))


def _palette(flags: int) -> int:
    """Bytes of the palette after these flags of a GIF file."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def slim_bmp(data: bytes) -> Slim:
    """The file as it is: it holds little but pixels."""
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<Ii", data, 18)
    return Slim(data, width, abs(height))


def slim_webp(data: bytes) -> Slim:
    """The picture, or the first frame of an animation, on its canvas."""
    if data[8:12] != b"WEBP":
        raise ValueError("a RIFF file, and not of WebP")
    parts: list[bytes] = []
    size: tuple[int, int] | None = None
    orientation = 1
    at, end = 12, False
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
        if name == b"EXIF":
            orientation = _orientation(body.removeprefix(b"Exif\0\0"))
        if end or name not in (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"):
            continue
        if len(body) < length:
            raise ValueError("cut off")
        if name == b"VP8X" and size is None:
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
            body = bytes([body[0] & 0x12]) + body[1:]  # transparency and animation
        elif size is None:
            size = _frame(name, body)
        parts += [name, struct.pack("<I", length), body, bytes(length % 2)]
        end = name in (b"ANMF", b"VP8 ", b"VP8L")
    if size is None or not end:
        raise ValueError("no image data")
    inside = b"WEBP" + b"".join(parts)
    return Slim(b"RIFF" + struct.pack("<I", len(inside)) + inside, *size, orientation)


def _frame(name: bytes, body: bytes) -> tuple[int, int]:
    """Width and height from the picture itself, where there is no canvas around it."""
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and body[:1] == b"\x2f":
        (bits,) = struct.unpack_from("<I", body, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise ValueError("no image data")


def _orientation(exif: bytes) -> int:
    """How the picture is to be turned; 1, not at all, where a camera's metadata are broken."""
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
