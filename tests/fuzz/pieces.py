"""Mutations of image files that keep their form: pieces are taken out, doubled, moved, changed and made anew.

Lengths and check sums are written anew, so that what is wrong gets past the first look and into the decoders.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from fuzz.mutations import BLIND, INTERESTING, Mutation, mutated


class Piece(NamedTuple):
    """A chunk, a segment or a box: its name and what is in it."""

    name: bytes
    content: bytes


Split = Callable[[bytes], tuple[bytes, list[Piece], bytes]]
"""A file as what is in front, its pieces, and what is behind."""
Join = Callable[[bytes, Sequence[Piece], bytes], bytes]


def of_pieces(split: Split, join: Join, *extra: Piece) -> Mutation:
    """A mutation of the pieces of a file; ``extra`` are pieces that it may put in."""

    def mutate(chance: random.Random, data: bytes) -> bytes:
        front, pieces, behind = data, list[Piece](), b""
        with suppress(struct.error, IndexError):
            front, pieces, behind = split(data)
        return join(front, changed(chance, pieces, extra), behind) if pieces else data

    return mutate


def changed(chance: random.Random, pieces: Sequence[Piece], extra: Sequence[Piece]) -> list[Piece]:
    pieces = list(pieces)
    at, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    match chance.randrange(8):
        case 0:
            del pieces[at]
        case 1:
            pieces[at:at] = [pieces[other]] * chance.choice((1, 2, 40))
        case 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        case 3:
            pieces[at] = Piece(pieces[other].name, pieces[at].content)
        case 4 if extra:
            name, content = chance.choice(extra)
            pieces.insert(at, Piece(name, chance.choice((content, mutated(chance, content, BLIND)))))
        case _:
            pieces[at] = Piece(pieces[at].name, mutated(chance, pieces[at].content, BLIND))
    return pieces


EXIF = b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\0"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:li tiff:Orientation="8"/></x:xmpmeta>'
ICC = struct.pack(">I4sI4s4s4s", 200, b"lcms", 0x04000000, b"mntr", b"RGB ", b"XYZ ") + bytes(176)


def split_png(data: bytes) -> tuple[bytes, list[Piece], bytes]:
    pieces, position = [], 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        pieces.append(Piece(name, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return data[:8], pieces, data[position:]


def join_png(front: bytes, pieces: Sequence[Piece], behind: bytes) -> bytes:
    chunks = (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in pieces
    )
    return front + b"".join(chunks) + behind


PNG = of_pieces(
    split_png,
    join_png,
    Piece(b"eXIf", EXIF),
    Piece(b"iCCP", b"icc\0\0" + zlib.compress(ICC)),
    Piece(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      8\n4d4d002a00000008")),
    Piece(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    Piece(b"tEXt", b"Comment\0" + b"x" * 300),
    Piece(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(4 << 20))),
    Piece(b"tRNS", b"\0\x01\0\x02\0\x03"),
    Piece(b"PLTE", bytes(range(30))),
    Piece(b"acTL", struct.pack(">II", 2, 0)),
    Piece(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0)),
    Piece(b"IDAT", zlib.compress(bytes(1000))),
    Piece(b"gAMA", b"\0\0\xb1\x8f"),
)


def repack_png(chance: random.Random, data: bytes) -> bytes:
    """Other rows of pixels in a stream that is well formed; or a stream far longer than the rows."""
    front, pieces, behind = split_png(data)
    packed = b"".join(content for name, content in pieces if name == b"IDAT")
    try:
        rows = zlib.decompressobj().decompress(packed, 1 << 20)
    except zlib.error:
        return data
    rows = rows + bytes(1 << 20) if chance.random() < 0.05 else mutated(chance, rows, BLIND)
    kept = [piece for piece in pieces if piece.name not in (b"IDAT", b"IEND")]
    return join_png(front, [*kept, Piece(b"IDAT", zlib.compress(rows, 1)), Piece(b"IEND", b"")], behind)


def split_jpeg(data: bytes) -> tuple[bytes, list[Piece], bytes]:
    """The segments before the first scan; the scans are what is behind."""
    pieces, position = [], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        length = struct.unpack_from(">H", data, position + 2)[0]
        pieces.append(Piece(data[position : position + 2], data[position + 4 : position + 2 + length]))
        position += 2 + max(length, 2)
        if pieces[-1].name == b"\xff\xda":
            break
    return data[:2], pieces, data[position:]


def join_jpeg(front: bytes, pieces: Sequence[Piece], behind: bytes) -> bytes:
    segments = (name + struct.pack(">H", min(len(content) + 2, 65535)) + content for name, content in pieces)
    return front + b"".join(segments) + behind


JPEG = of_pieces(
    split_jpeg,
    join_jpeg,
    Piece(b"\xff\xe1", b"Exif\0\0" + EXIF),
    Piece(b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    Piece(b"\xff\xe2", b"ICC_PROFILE\0\x01\x01" + ICC),
    Piece(b"\xff\xe2", b"MPF\0" + EXIF),
    Piece(b"\xff\xee", b"Adobe\0\x64\0\0\0\0\x02"),
    Piece(b"\xff\xed", b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\x10" + bytes(16)),
    Piece(b"\xff\xdd", b"\0\x01"),
    Piece(b"\xff\xcc", b"\0\x01\x10\x11"),
    Piece(b"\xff\xfe", b"comment"),
)


def rescan_jpeg(chance: random.Random, data: bytes) -> bytes:
    """Scans doubled, dropped or damaged, and markers put between their bytes."""
    front, pieces, behind = split_jpeg(data)
    scans = behind.split(b"\xff\xda")
    at = chance.randrange(len(scans))
    match chance.randrange(4):
        case 0:
            scans[at:at] = [scans[at]] * chance.choice((1, 3, 120))
        case 1:
            del scans[at]
        case 2:
            marker = bytes((0xFF, chance.choice((0xD0, 0xD3, 0xD8, 0xD9, 0xC4, 0xDC, 0xDA, 0x01))))
            cut_at = chance.randrange(len(scans[at]) + 1)
            scans[at] = scans[at][:cut_at] + marker + scans[at][cut_at:]
        case _:
            scans[at] = mutated(chance, scans[at], BLIND)
    return join_jpeg(front, pieces, b"\xff\xda".join(scans))


def split_riff(data: bytes) -> tuple[bytes, list[Piece], bytes]:
    pieces, position = [], 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        pieces.append(Piece(name, data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return data[8:12], pieces, b""


def join_riff(front: bytes, pieces: Sequence[Piece], behind: bytes) -> bytes:
    chunks = (name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in pieces)
    body = front + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body + behind


WEBP = of_pieces(
    split_riff,
    join_riff,
    Piece(b"VP8X", b"\x3e\0\0\0\x1f\0\0\x17\0\0"),
    Piece(b"EXIF", EXIF),
    Piece(b"XMP ", XMP),
    Piece(b"ICCP", ICC),
    Piece(b"ANIM", bytes(6)),
    Piece(b"ANMF", bytes(16) + b"VP8L\x05\0\0\0\x2f\0\0\0\0\0"),
    Piece(b"ALPH", b"\x01" + bytes(30)),
)


def split_boxes(data: bytes) -> tuple[bytes, list[Piece], bytes]:
    pieces, position = [], 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        length = length if length >= 8 else len(data) - position
        pieces.append(Piece(name, data[position + 8 : position + length]))
        position += length
    return b"", pieces, b""


def join_boxes(front: bytes, pieces: Sequence[Piece], behind: bytes) -> bytes:
    return front + b"".join(struct.pack(">I", len(content) + 8) + name + content for name, content in pieces) + behind


BOXES = of_pieces(split_boxes, join_boxes, Piece(b"free", bytes(20)), Piece(b"uuid", bytes(40)))


def inner_boxes(chance: random.Random, data: bytes) -> bytes:
    """The same one or two levels further down: inside ``meta`` are the boxes that say where the pixels are."""
    front, pieces, behind = split_boxes(data)
    for at, (name, content) in enumerate(pieces):
        if name == b"meta":
            pieces[at] = Piece(name, content[:4] + chance.choice((BOXES, _properties))(chance, content[4:]))
    return join_boxes(front, pieces, behind)


def _properties(chance: random.Random, data: bytes) -> bytes:
    front, pieces, behind = split_boxes(data)
    for at, (name, content) in enumerate(pieces):
        if name == b"iprp":
            pieces[at] = Piece(name, BOXES(chance, content))
        elif name == b"iloc":
            pieces[at] = Piece(name, chance.choice((mutated(chance, content, BLIND), content)))
    return join_boxes(front, pieces, behind)


def directory_of_tiff(chance: random.Random, data: bytes) -> bytes:
    """One field of one entry in the first directory."""
    order = "<" if data.startswith(b"II") else ">"
    changed_data = bytearray(data)
    with suppress(struct.error, IndexError):
        start = struct.unpack_from(order + "I", data, 4)[0]
        count = struct.unpack_from(order + "H", data, start)[0]
        entry = start + 2 + 12 * chance.randrange(max(count, 1))
        match chance.randrange(4):
            case 0:
                struct.pack_into(order + "H", changed_data, entry, chance.choice(TIFF_TAGS))
            case 1:
                struct.pack_into(
                    order + "H", changed_data, entry + 2, chance.choice((1, 2, 3, 4, 5, 7, 12, 13, 16, 99))
                )
            case 2:
                struct.pack_into(order + "I", changed_data, entry + 4, chance.choice(INTERESTING))
            case _:
                number = chance.choice((*INTERESTING, *range(1, 20), 32773, 32946, 34925, 50000, len(data)))
                struct.pack_into(order + "I", changed_data, entry + 8, number)
    return bytes(changed_data)


TIFF_TAGS = (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338)
TIFF_TAGS += (339, 347, 512, 513, 514, 529, 530, 532, 700, 33723, 34377, 34665, 34675, 34853, 65000)


def blocks_of_gif(chance: random.Random, data: bytes) -> bytes:
    """The fields before the pixels, the size of the codes, or the bytes of the codes with their lengths kept."""
    start = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    if data[start : start + 1] != b"," or chance.random() < 0.5:
        head, tail = data[:32], data[32:]
        return mutated(chance, head, BLIND) + tail
    codes = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        at = chance.randrange(start, len(codes))
        if codes[at] not in (0, 255):
            codes[at] = chance.randrange(256)
    return bytes(codes)


AWARE: dict[str, tuple[Mutation, ...]] = {
    "JPEG": (JPEG, rescan_jpeg),
    "PNG": (PNG, repack_png),
    "WEBP": (WEBP,),
    "GIF": (blocks_of_gif,),
    "BMP": (),
    "TIFF": (directory_of_tiff,),
    "AVIF": (BOXES, inner_boxes),
}
"""What knows the form of each format."""
