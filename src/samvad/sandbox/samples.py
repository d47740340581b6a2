"""Small real files for what virtual customers send when a test names none."""

import struct
import zlib

COLOURS = 256**3


def sample(kind: str, variety: int) -> tuple[bytes, str]:
    """A small file of the right type and its MIME type; another `variety` gives other bytes."""
    match kind:
        case "image":
            return _png(variety), "image/png"
        case "sticker":
            return _webp(), "image/webp"
        case "audio":
            return _ogg_opus(variety), "audio/ogg; codecs=opus"
        case "video":
            return _mp4(variety), "video/mp4"
        case "document":
            return _pdf(variety), "application/pdf"
        case _:
            raise AssertionError(f"no sample for {kind}")


def _png(variety: int, side: int = 64) -> bytes:
    """A square of one colour."""
    row = b"\x00" + (variety % COLOURS).to_bytes(3, "big") * side
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * side)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _webp() -> bytes:
    """A transparent square of 512 pixels, the size of a sticker, in lossless WebP."""
    size = (511 | 511 << 14 | 1 << 28).to_bytes(4, "little")  # width - 1, height - 1, alpha in use
    one_colour = bytes.fromhex("071011118888fe0700")
    image = b"\x2f" + size + one_colour
    chunk = b"VP8L" + struct.pack("<I", len(image)) + image
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def _ogg_opus(variety: int) -> bytes:
    """A fifth of a second of silence, mono."""
    serial = variety % 2**32
    silence = b"\xf8\xff\xfe"
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 7) + b"sandbox" + struct.pack("<I", 0)
    return b"".join(
        (
            _ogg_page(serial, 0, 0x02, 0, [head]),
            _ogg_page(serial, 1, 0x00, 0, [tags]),
            _ogg_page(serial, 2, 0x04, 960 * 10, [silence] * 10),
        )
    )


def _ogg_page(serial: int, number: int, flags: int, position: int, packets: list[bytes]) -> bytes:
    head = b"OggS" + struct.pack("<BBqII", 0, flags, position, serial, number)
    rest = bytes([len(packets)]) + bytes(len(packet) for packet in packets) + b"".join(packets)
    return head + struct.pack("<I", _ogg_crc(head + bytes(4) + rest)) + rest


def _ogg_crc(data: bytes) -> int:
    """Ogg's own checksum: the polynomial of zlib.crc32, but not reflected and without inversion."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def _mp4(variety: int) -> bytes:
    """An MP4 container without a track: enough for a type check, nothing to watch."""
    movie_header = struct.pack(">IIIII", 0, 0, 0, 1_000, 1_000) + struct.pack(">iH10x", 0x10000, 0x100)
    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie = _box(b"mvhd", movie_header + matrix + bytes(24) + struct.pack(">I", 1))
    note = _box(b"free", str(variety).encode())
    return _box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isommp42") + _box(b"moov", movie) + note


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _pdf(variety: int) -> bytes:
    """One page with one line of text."""
    text = f"BT /F1 24 Tf 72 720 Td (Sample document {variety}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(text), text),
    )
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
