"""The smallest pictures of each kind that say how wide and high they are, byte by byte."""

import struct
import zlib

WIDTH, HEIGHT = 640, 480


def png(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
        )

    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def jpeg(*, before: bytes = b"") -> bytes:
    frame = struct.pack(">BHHB", 8, HEIGHT, WIDTH, 3) + bytes((1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1))
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    start = b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame
    return b"\xff\xd8" + app0 + before + start + b"\xff\xd9"


def gif() -> bytes:
    return b"GIF89a" + struct.pack("<HH", WIDTH, HEIGHT) + b"\x00\x00\x00;"


def webp() -> bytes:
    chunk = b"VP8X" + struct.pack("<L", 10) + bytes(4)
    chunk += struct.pack("<L", WIDTH - 1)[:3] + struct.pack("<L", HEIGHT - 1)[:3]
    return b"RIFF" + struct.pack("<L", len(chunk) + 4) + b"WEBP" + chunk


def bmp() -> bytes:
    return (
        b"BM"
        + struct.pack("<LLL", 54, 0, 54)
        + struct.pack("<LllHHLLllLL", 40, WIDTH, -HEIGHT, 1, 24, *[0] * 6)
    )


def tiff() -> bytes:
    entries = struct.pack("<HHLHH", 256, 3, 1, WIDTH, 0) + struct.pack("<HHLHH", 257, 3, 1, HEIGHT, 0)
    return b"II*\x00" + struct.pack("<L", 8) + struct.pack("<H", 2) + entries + bytes(4)


def heif(brand: bytes, *compatible: bytes) -> bytes:
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content) + 8) + name + content

    size = box(b"ispe", bytes(4) + struct.pack(">LL", WIDTH, HEIGHT))
    which = box(b"ipma", bytes(4) + struct.pack(">LHBB", 1, 1, 1, 1))
    inside = box(b"pitm", bytes(4) + struct.pack(">H", 1)) + box(b"iprp", box(b"ipco", size) + which)
    return box(b"ftyp", brand + bytes(4) + b"".join(compatible)) + box(b"meta", bytes(4) + inside)


KINDS = {
    "image/png": ("png", png()),
    "image/jpeg": ("jpg", jpeg()),
    "image/gif": ("gif", gif()),
    "image/webp": ("webp", webp()),
    "image/bmp": ("bmp", bmp()),
    "image/tiff": ("tiff", tiff()),
    "image/heic": ("heic", heif(b"heic", b"mif1", b"heic")),
    "image/heif": ("heif", heif(b"mif1", b"mif1")),
    "image/avif": ("avif", heif(b"mif1", b"mif1", b"avif")),
}
