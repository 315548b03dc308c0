"""Colour spaces that a file names otherwise than by an ICC profile, as an ICC profile, so that one way leads to sRGB.

- PNG: the chunks cICP, iCCP, sRGB, then gAMA and cHRM, the first of which counts (PNG 3rd edition, 4.3 and 11.3.2).
- HEIC and AVIF: an ICC profile, else the box `colr` of type nclx (ISO/IEC 23008-12, 6.5.5; ISO/IEC 14496-12, 12.1.5).
- JPEG and others with EXIF: Adobe RGB by the Design rule for Camera File system (DCF 2.0, 4.2): ColorSpace
  uncalibrated with InteroperabilityIndex R03, or a name that begins with an underscore.

Numbers of primaries and transfers are those of ITU-T H.273. Pictures for HDR screens (PQ, HLG) are brought to the
standard range, by reference white (ITU-R BT.2408: 203 cd/m2) and an extended Reinhard curve above it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import ImageFile

    Curve = Callable[[NDArray[Any]], NDArray[Any]]

Point = tuple[float, float]  # CIE 1931 x, y
_D65, _D50 = (0.3127, 0.3290), (0.34567, 0.35850)
_ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)  # Adobe RGB (1998), 4.3.1
_ADOBE_GAMMA = 563 / 256
_BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)
# H.273, table 2: red, green, blue, white.
_PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: _BT2020,
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_SRGB, _PQ, _HLG, _UNSAID = 13, 16, 18, 2  # H.273, table 3; 2 is unspecified
_BT709_LIKE = (1, 6, 14, 15)
_WHITE_NITS, _HLG_PEAK_NITS = 203.0, 1000.0
_SRGB_LIKE_GAMMA = (45455, 45000)  # in PNG: written for programs that know no sRGB chunk
_SCANNED_BYTES = 1 << 20  # of a HEIC or AVIF, where its boxes are
HDR_REMARK = "The photo was made for an HDR screen; it was brought to the range of an ordinary one."


@dataclass(frozen=True)
class Space:
    """primaries: red, green, blue and white. transfer: a number of H.273, or a gamma as a float."""

    primaries: tuple[Point, Point, Point, Point]
    transfer: int | float

    @property
    def is_hdr(self) -> bool:
        return isinstance(self.transfer, int) and self.transfer in (_PQ, _HLG)


def named_space(picture: ImageFile.ImageFile, kind: str, path: Path, exif: Image.Exif) -> Space | None:
    """The space that a file names, where that counts for more than its ICC profile or there is none; None for sRGB."""
    profile = bool(picture.info.get("icc_profile"))
    if kind == "PNG":
        return _of_png(picture, profile)
    if profile:
        return None
    if kind in ("HEIC", "AVIF"):
        return _of_boxes(picture)
    return Space(_ADOBE_RGB, _ADOBE_GAMMA) if _is_adobe_by_dcf(exif, path) else None


def _of_png(picture: ImageFile.ImageFile, profile: bool) -> Space | None:
    chunks = png_chunks(picture.fp)
    if len(cicp := chunks.get(b"cICP", b"")) == 4 and cicp[2] == 0 and (space := _by_numbers(cicp[0], cicp[1])):
        return space
    if profile or b"sRGB" in chunks or b"gAMA" not in chunks or len(chunks[b"gAMA"]) != 4:
        return None
    gamma = int.from_bytes(chunks[b"gAMA"], "big")
    if not 0 < gamma < 10**6:
        return None
    primaries = _BT709
    if len(chromaticity := chunks.get(b"cHRM", b"")) == 32:
        x = [value / 1e5 for value in struct.unpack(">8I", chromaticity)]
        primaries = ((x[2], x[3]), (x[4], x[5]), (x[6], x[7]), (x[0], x[1]))
    elif gamma in _SRGB_LIKE_GAMMA:
        return None
    return Space(primaries, 1e5 / gamma)


def _of_boxes(picture: ImageFile.ImageFile) -> Space | None:
    """By the first box `colr` of type nclx."""
    if nclx := picture.info.get("nclx_profile"):  # as pillow-heif tells it
        numbers = nclx.get("color_primaries", _UNSAID), nclx.get("transfer_characteristics", _UNSAID)
    else:
        stream: Any = picture.fp
        if stream is None:
            return None
        here = stream.tell()
        stream.seek(0)
        head = stream.read(_SCANNED_BYTES)
        stream.seek(here)
        at = head.find(b"colrnclx")
        if at < 0 or len(head) < at + 12:
            return None
        numbers = struct.unpack(">HH", head[at + 8 : at + 12])
    space = _by_numbers(*map(int, numbers))
    return None if space is None or (space.primaries == _BT709 and space.transfer in (_SRGB, *_BT709_LIKE)) else space


def _by_numbers(primaries: int, transfer: int) -> Space | None:
    """None where the primaries or the transfer are unknown; unspecified ones are those of sRGB."""
    known = _BT709 if primaries == _UNSAID else _PRIMARIES.get(primaries)
    transfer = _SRGB if transfer == _UNSAID else transfer
    return Space(known, transfer) if known and (transfer in _LINEAR or transfer in (_PQ, _HLG)) else None


def _is_adobe_by_dcf(exif: Image.Exif, path: Path) -> bool:
    camera = exif.get_ifd(0x8769)
    if camera.get(0xA001) != 0xFFFF:
        return False
    try:
        index = exif.get_ifd(0xA005).get(1) if 0xA005 in camera else None
    except Exception:  # a damaged directory says nothing
        index = None
    index = index.decode("ascii", "replace") if isinstance(index, bytes) else index
    return str(index or "").strip("\0 ") == "R03" or (index is None and path.name.startswith("_"))


def has_gain_map(picture: ImageFile.ImageFile) -> bool:
    """Whether a JPEG (ISO 21496-1, Ultra HDR) or HEIC holds a second picture by which the first becomes HDR."""
    stream: Any = picture.fp
    if stream is None:
        return False
    here = stream.tell()
    stream.seek(0)
    head = stream.read(_SCANNED_BYTES)
    stream.seek(here)
    return any(mark in head for mark in (b"hdrgm:Version", b"hdrgainmap", b"urn:iso:std:iso:ts:21496:-1"))


def png_chunks(stream: Any) -> dict[bytes, bytes]:
    """The chunks about colour before a PNG's pixels, by name; the stream is left where it was."""
    if stream is None:
        return {}
    here = stream.tell()
    found: dict[bytes, bytes] = {}
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] in (b"cICP", b"sRGB", b"gAMA", b"cHRM") and length <= 64:
                found.setdefault(head[4:], stream.read(length))
                stream.seek(4, os.SEEK_CUR)
            else:
                stream.seek(length + 4, os.SEEK_CUR)
    finally:
        stream.seek(here)
    return found


# Transfers of H.273, table 3, from coded values in [0, 1] to linear light.


def _bt709(v: NDArray[Any]) -> NDArray[Any]:
    return np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))


def _srgb(v: NDArray[Any]) -> NDArray[Any]:
    import torch

    from engine.models.srgb import to_linear

    made: NDArray[Any] = to_linear(torch.as_tensor(v)).numpy()
    return made


def _pq(v: NDArray[Any]) -> NDArray[Any]:
    """SMPTE ST 2084, as multiples of reference white."""
    p = np.clip(v, 0, 1) ** (1 / 78.84375)
    nits: NDArray[Any] = 1e4 * (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125)
    return nits / _WHITE_NITS


def _hlg(v: NDArray[Any]) -> NDArray[Any]:
    """ITU-R BT.2100, scene light in [0, 1]; what a screen makes of it depends on all three channels."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12)


_LINEAR: dict[int | float, Curve] = {
    **dict.fromkeys(_BT709_LIKE, _bt709),
    4: lambda v: v**2.2,
    5: lambda v: v**2.8,
    8: lambda v: v,
    13: _srgb,
}


def to_profile(space: Space) -> bytes:
    """An ICC profile, version 2, of a space that is not for HDR: matrix and curves (ICC.1:2001-04, 6.3.1.2)."""
    gamma = float(space.transfer)
    curve: Curve = _LINEAR[space.transfer] if isinstance(space.transfer, int) else lambda v: v**gamma
    samples = (curve(np.linspace(0, 1, 4096)).clip(0, 1) * 65535).round().astype(">u2").tobytes()
    trc = b"curv\0\0\0\0" + struct.pack(">I", 4096) + samples
    columns = _adapted(_to_xyz(space.primaries), space.primaries[3])
    about = b"desc\0\0\0\0" + struct.pack(">I", 8) + b"by name\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = [(b"desc", about), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", _xyz(_white(_D50)))]
    tags += [(name, _xyz(columns[:, k])) for k, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(name, trc) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, data, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for name, content in tags:
        if content not in placed:  # the three curves are one
            placed[content] = at + len(data)
            data += content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", placed[content], len(content))
    header = struct.pack(">I4sI4s4s4s", at + len(data), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s4sI4s4sQI", 2000, 1, 1, 0, 0, 0, b"acsp", b"none", 0, b"none", b"none", 0, 1)
    header += _xyz(_white(_D50))[8:]
    return header.ljust(128, b"\0") + table + data


def to_standard_range(image: Image.Image, space: Space) -> Image.Image:
    """A picture for HDR screens (RGB or RGBA) as sRGB, strip by strip."""
    import torch

    from engine.models.srgb import from_linear

    matrix = np.linalg.inv(_to_xyz(_BT709)) @ _to_xyz(space.primaries)
    made = image.convert("RGBA" if image.has_transparency_data else "RGB")
    rows = max(1, (1 << 20) // made.width)
    for top in range(0, made.height, rows):
        box = (0, top, made.width, min(top + rows, made.height))
        strip = np.asarray(made.crop(box), np.float32) / 255
        linear = _displayed(strip[..., :3], space) @ matrix.T.astype(np.float32)
        peak = np.maximum(linear.max(-1, keepdims=True), 1e-6)
        linear = np.maximum(linear * (_toned(peak) / peak), 0)
        strip[..., :3] = from_linear(torch.as_tensor(linear)).numpy().clip(0, 1)
        made.paste(Image.fromarray((strip * 255).round().astype(np.uint8), made.mode), box[:2])
    made.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return made


def _displayed(coded: NDArray[Any], space: Space) -> NDArray[Any]:
    """Light on the screen, as multiples of reference white."""
    if space.transfer == _PQ:
        return _pq(coded)
    scene = _hlg(coded)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)  # BT.2100, table 5: gamma 1.2 at 1000 cd/m2
    shown: NDArray[Any] = scene * np.maximum(luminance, 1e-6)[..., None] ** 0.2 * _HLG_PEAK_NITS / _WHITE_NITS
    return shown


def _toned(light: NDArray[Any]) -> NDArray[Any]:
    """Reinhard et al. 2002, equation 4, from 3/4 of white on: below it nothing changes, and 1000 cd/m2 are white."""
    knee, white = 0.75, _HLG_PEAK_NITS / _WHITE_NITS
    above = np.maximum(light - knee, 0) / (1 - knee)
    most = (white - knee) / (1 - knee)
    return np.where(
        light <= knee, light, knee + (1 - knee) * np.minimum(above * (1 + above / most**2) / (1 + above), 1)
    )


def _white(point: Point) -> NDArray[Any]:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def _to_xyz(primaries: tuple[Point, Point, Point, Point]) -> NDArray[Any]:
    """From linear RGB to XYZ (SMPTE RP 177)."""
    columns = np.stack([_white(point) for point in primaries[:3]], axis=1)
    made: NDArray[Any] = columns * np.linalg.solve(columns, _white(primaries[3]))
    return made


def _adapted(to_xyz: NDArray[Any], white: Point) -> NDArray[Any]:
    """For the white D50 of profiles, by the Bradford transform (ICC.1:2022, annex E)."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    gains = (cone @ _white(_D50)) / (cone @ _white(white))
    made: NDArray[Any] = np.linalg.inv(cone) @ np.diag(gains) @ cone @ to_xyz
    return made


def _xyz(values: NDArray[Any]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)
