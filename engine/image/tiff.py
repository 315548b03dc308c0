"""The directories of a TIFF, read before Pillow decodes anything: what a file of that kind is, and what it may be.

TIFF 6.0 (Adobe 1992), its supplement on SubIFDs (TIFF Tech Note 1), BigTIFF, TIFF/EP (ISO 12234-2) and DNG 1.6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _TILES, _SUBIFDS, _EXTRA, _FORMAT = (
    273, 277, 278, 279, 284, 324, 330, 338, 339
)  # fmt: skip
_DNG_VERSION = 50706
_SENSOR = (32803, 34892)  # photometric: a mosaic of colours, or linear raw
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # of whole numbers
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_DIRECTORIES_MOST, _ENTRIES_MOST, _VALUES_MOST = 64, 4096, 1 << 20


@dataclass(frozen=True)
class Directory:
    """values: of tags whose values are whole numbers. counts: of values, of every tag. order: "<" or ">"."""

    values: dict[int, tuple[int, ...]]
    counts: dict[int, int]
    order: str

    def value(self, tag: int, otherwise: int = 0) -> int:
        return self.values.get(tag, (otherwise,))[0] if self.values.get(tag, (otherwise,)) else otherwise

    @property
    def is_small(self) -> bool:
        """Whether it is a smaller copy of another picture in the file."""
        return bool(self.value(_SUBFILE) & 1)

    @property
    def parts(self) -> int:
        """How many strips or tiles hold its pixels."""
        return max(self.counts.get(_STRIPS, 0), self.counts.get(_TILES, 0))

    @property
    def has_too_many_parts(self) -> bool:
        """More strips or tiles than rows of each channel: nobody writes that who wants to be read."""
        return self.parts > max(1, self.value(_HEIGHT, 1)) * max(1, self.value(_SAMPLES, 1)) + 1


def directories(stream: BinaryIO) -> list[Directory]:
    """The pictures of a file, those that follow one another; without what cannot be read. The stream is left at its
    end.
    """
    head = _head(stream)
    made: list[Directory] = []
    if head is None:
        return []
    order, big, at = head
    seen: set[int] = set()
    while at and at not in seen and len(made) < _DIRECTORIES_MOST:
        seen.add(at)
        found = _read(stream, at, order, big)
        if found is None:
            break
        made.append(found[0])
        at = found[1]
    return made


def is_raw(stream: BinaryIO, pictures: list[Directory]) -> bool:
    """Whether it is a camera's raw file: its sensor's own values, with small pictures to look at."""
    stream.seek(8)
    if stream.read(2) == b"CR":  # Canon's CR2
        return True
    if not pictures:
        return False
    first = pictures[0]
    if _DNG_VERSION in first.counts or (first.is_small and _SUBIFDS in first.counts):
        return True
    return any(d.value(_PHOTOMETRIC) in _SENSOR for d in (*pictures, *_below(stream, pictures)))


def _below(stream: BinaryIO, pictures: list[Directory]) -> Iterator[Directory]:
    head = _head(stream)
    if head is not None:
        for at in [at for d in pictures for at in d.values.get(_SUBIFDS, ())][:_DIRECTORIES_MOST]:
            if found := _read(stream, at, head[0], head[1]):
                yield found[0]


def whole(pictures: list[Directory]) -> int:
    """Which of a file's pictures to take: the first that is no smaller copy of another."""
    return next((k for k, directory in enumerate(pictures) if not directory.is_small), 0)


def is_misread(directory: Directory) -> bool:
    """Whether Pillow reads it wrongly: it reads planes by one letter of their mode, so as if they had 8 bits."""
    bits = directory.values.get(_BITS, (1,))
    return directory.value(_PLANAR, 1) == 2 and directory.value(_COMPRESSION, 1) == 1 and max(bits) != 8


def read_planes(stream: BinaryIO, directory: Directory) -> Image.Image | None:
    """The picture of such a directory, of 16 bits in strips, in 8 bits: RGB, RGBA, CMYK, L or LA; None for another."""
    bits, photometric = set(directory.values.get(_BITS, ())), directory.value(_PHOTOMETRIC)
    count, is_whole = directory.value(_SAMPLES, 1), directory.value(_FORMAT, 1) == 1
    colours = {1: 1, 2: 3, 5: 4}.get(photometric, 0)
    alpha = count > colours and directory.value(_EXTRA) in (1, 2)
    offsets, sizes = directory.values.get(_STRIPS, ()), directory.values.get(_STRIP_BYTES, ())
    if bits != {16} or not is_whole or not colours or count < colours or len(offsets) != len(sizes):
        return None
    width, height = directory.value(_WIDTH), directory.value(_HEIGHT)
    per_plane = len(offsets) // count
    planes = []
    for k in range(colours + alpha):
        data = b""
        for at, size in zip(offsets[k * per_plane :][:per_plane], sizes[k * per_plane :], strict=False):
            stream.seek(at)
            data += stream.read(size)
        plane = np.frombuffer(data[: len(data) // 2 * 2], directory.order + "u2")
        if plane.size < width * height:
            raise EOFError("truncated planes")
        planes.append((plane[: width * height].reshape(height, width) / 257).round().astype(np.uint8))
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours] + ("A" if alpha and colours < 4 else "")
    channels = np.stack(planes[: len(mode)], -1)
    if directory.value(_EXTRA) == 1 and alpha and colours < 4:  # colours are multiplied by alpha
        opacity = np.maximum(channels[..., -1:], 1).astype(np.float32)
        channels[..., :-1] = (channels[..., :-1] * 255 / opacity).clip(0, 255).round().astype(np.uint8)
    return Image.fromarray(channels[..., 0] if mode == "L" else channels, mode)


def _head(stream: BinaryIO) -> tuple[str, bool, int] | None:
    """Byte order, whether it is a BigTIFF, and where the first directory stands."""
    stream.seek(0)
    head = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return None
    if struct.unpack(order + "H", head[2:4])[0] == 43 and len(head) == 16:
        return order, True, struct.unpack(order + "Q", head[8:16])[0]
    return order, False, struct.unpack(order + "I", head[4:8])[0]


def _read(stream: BinaryIO, at: int, order: str, big: bool) -> tuple[Directory, int] | None:
    """A directory and where the next one stands."""
    counted, entry, inline, word = (8, 20, 8, "Q") if big else (2, 12, 4, "I")
    stream.seek(at)
    head = stream.read(counted)
    if len(head) < counted:
        return None
    count = struct.unpack(order + ("Q" if big else "H"), head)[0]
    if not 0 < count <= _ENTRIES_MOST:
        return None
    table = stream.read(count * entry + struct.calcsize(word))
    if len(table) < count * entry:
        return None
    values: dict[int, tuple[int, ...]] = {}
    counts: dict[int, int] = {}
    for k in range(count):
        row = table[k * entry : (k + 1) * entry]
        tag, kind = struct.unpack(order + "HH", row[:4])
        number = struct.unpack(order + word, row[4 : 4 + struct.calcsize(word)])[0]
        counts[tag] = number
        if kind not in _TYPES or number > _VALUES_MOST:
            continue
        size = _SIZES[kind] * number
        data = row[-inline:]
        if size > inline:
            stream.seek(struct.unpack(order + word, data)[0])
            data = stream.read(size)
        if len(data) >= size:
            values[tag] = struct.unpack(f"{order}{number}{_TYPES[kind]}", data[:size])
    rest = table[count * entry :]
    following = struct.unpack(order + word, rest)[0] if len(rest) == struct.calcsize(word) else 0
    return Directory(values, counts, order), following
