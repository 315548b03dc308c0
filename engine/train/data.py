"""Pictures to learn from: folders and tars become one memory-mapped file of uint8 pixels, crops come out of it.

A picture is held out for measuring when its name's hash says so, on every machine and in every recipe alike.
"""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine import image
from engine.contract.errors import RequestError
from engine.settings import Settings

_ANY_SIZE = Settings(input_mpx=500.0)  # nobody waits for one of them
HEIC_SUFFIXES = {".heic", ".heif"}  # as many phones write
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff"} | HEIC_SUFFIXES


def is_held_out(name: str) -> bool:
    """Whether a picture is kept for measuring: one in twelve, by the SHA-1 of its file name without folders."""
    return hashlib.sha1(Path(name).name.encode()).digest()[0] % 12 == 0


def read_pictures(source: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, RGB picture) of every picture in a folder (recursively) or a tar, in the order of their names; hidden
    files are none.

    RequestError with its name for a file that is no picture, or no tar.
    """
    if source.is_dir():
        for path in _pictures_in(source):
            yield path.relative_to(source).as_posix(), _decoded(path, str(path.relative_to(source)))
        return
    if not tarfile.is_tarfile(source):
        raise RequestError(f"{source} is neither a folder nor a tar.")
    with tarfile.open(source) as tar:
        members = [m for m in tar.getmembers() if m.isfile() and _is_picture(Path(m.name))]
        for member in sorted(members, key=lambda m: m.name):
            stream = tar.extractfile(member)
            assert stream is not None  # isfile() said so
            yield member.name, _unpacked(stream.read(), member.name)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_picture(path))


def _decoded(file: Path, name: str) -> Image.Image:
    """Upright RGB in 8 bits, in sRGB by the file's own profile, what is transparent laid on white: through the door."""
    try:
        picture = image.load(file, _ANY_SIZE)
    except RequestError as error:
        raise RequestError(f"{name} cannot be read as a picture; take it out of the training data.") from error
    return image.Picture(picture.on_white()).pil()


def _unpacked(data: bytes, name: str) -> Image.Image:
    """The same of a file in a tar."""
    with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as file:
        file.write(data)
        file.flush()
        return _decoded(Path(file.name), name)


def read_categories(table: Path) -> dict[str, str]:
    """Picture name -> category, from a csv with the columns `file` and `category`; rows without one are left out.

    RequestError when it has no such columns.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:  # spreadsheets put a mark in front
            return {
                row["file"]: row["category"].strip()
                for row in csv.DictReader(stream)
                if (row["category"] or "").strip()
            }
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(
            f"{table} must be a csv in UTF-8 with the columns file and category, separated by commas."
        ) from error


class Pictures(Sequence[Tensor]):
    """Pictures of any sizes in one memory-mapped file: item i is a uint8 (3, H, W) view, `names[i]` its name.

    `looks[i]` is what the `look` of `pack` gave for it; empty without one.
    """

    def __init__(self, file: Path) -> None:
        index = json.loads(file.with_suffix(".json").read_text())
        self.names: list[str] = index["names"]
        self.looks: list[dict[str, Any]] = index.get("looks", [])
        self._sizes: list[tuple[int, int]] = [tuple(size) for size in index["sizes"]]
        self._offsets = np.concatenate([[0], np.cumsum([3 * h * w for h, w in self._sizes])])
        self._pixels = np.memmap(file, dtype=np.uint8, mode="c")  # copy on write: torch wants writable memory

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Tensor:  # type: ignore[override]
        h, w = self._sizes[i]
        return torch.from_numpy(self._pixels[self._offsets[i] : self._offsets[i + 1]].reshape(3, h, w))

    def split(self, least_px: int = 1) -> tuple[list[int], list[int]]:
        """Indices to learn from and held out, of pictures with no side under `least_px`.

        A set so small that chance holds none out shows its own pictures instead. RequestError when none is large
        enough.
        """
        large = [i for i, size in enumerate(self._sizes) if min(size) >= least_px]
        if not large:
            raise RequestError(f"No picture has {least_px} px on both sides after it is prepared.")
        held_out = [i for i in large if is_held_out(self.names[i])]
        return [i for i in large if not is_held_out(self.names[i])] or large, held_out or large

    def by_size(self, side_px: int) -> list[int]:
        """Indices to learn from, each as often as the picture holds squares of `side_px`.

        None for a smaller picture.
        """
        learn, _ = self.split(side_px)
        return [i for i in learn for _ in range((self._sizes[i][0] // side_px) * (self._sizes[i][1] // side_px))]

    def subset(self, keep: Callable[[str], bool]) -> list[int]:
        """Indices of the pictures whose name `keep` accepts."""
        return [i for i, name in enumerate(self.names) if keep(name)]


def pack(
    sources: Sequence[Path],
    cache: Path,
    label: str,
    prepare: Callable[[Image.Image], Image.Image],
    look: Callable[[Image.Image], dict[str, Any]] | None = None,
) -> Pictures:
    """Write every picture of `sources`, after `prepare`, into one file in `cache`; reuse it when it is there. Atomic.

    The file's name holds `label`, which the caller chooses for what `prepare` and `look` do, and a hash of the sources'
    paths and times, of a folder also of those of its pictures. look: facts to keep of each picture as it was, as JSON
    in `Pictures.looks`. RequestError when there is no picture in them.
    """
    file = cache / f"{label}-{digest(sources)}.u8"
    if not file.with_suffix(".json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as own:  # two trainings may begin at once
            index = _written(sources, Path(own, "pixels"), prepare, look)
            Path(own, "index").write_text(json.dumps(index))
            Path(own, "pixels").replace(file)
            Path(own, "index").replace(file.with_suffix(".json"))
    return Pictures(file)


def _written(
    sources: Sequence[Path],
    file: Path,
    prepare: Callable[[Image.Image], Image.Image],
    look: Callable[[Image.Image], dict[str, Any]] | None,
) -> dict[str, Any]:
    """Writes the pixels of all pictures to `file`; what `Pictures` must know to read them."""
    names, sizes, looks = [], [], []
    with file.open("wb") as out:
        for source in sources:
            for name, picture in read_pictures(source):
                pixels = np.asarray(prepare(picture), dtype=np.uint8)
                out.write(pixels.transpose(2, 0, 1).tobytes())
                names.append(name)
                sizes.append(pixels.shape[:2])
                looks.append(look(picture) if look else {})
    if not names:
        raise RequestError(f"There is no picture in {', '.join(str(s) for s in sources)}.")
    return {"names": names, "sizes": sizes} | ({"looks": looks} if look else {})


def digest(sources: Sequence[Path]) -> str:
    """A hash of these sources, another one once they changed."""
    return hashlib.sha1(repr([_state(source) for source in sources]).encode()).hexdigest()[:12]


def _state(source: Path) -> tuple[Any, ...]:
    """What changes when a tar, or a picture in a folder, does."""
    inside = (
        [(path.relative_to(source).as_posix(), path.stat().st_mtime_ns) for path in _pictures_in(source)]
        if source.is_dir()
        else []
    )
    return (str(source.resolve()), source.stat().st_mtime_ns, *inside)


def shrink(factor: float, most_px: int = 10**6) -> Callable[[Image.Image], Image.Image]:
    """Scale pictures down by `factor` (and to `most_px` a side): averages away the JPEG noise they came with."""

    def prepare(picture: Image.Image) -> Image.Image:
        scale = min(1 / factor, most_px / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.LANCZOS)

    return prepare


def random_crops(
    pictures: Sequence[Tensor],
    indices: Sequence[int],
    count: int,
    size_px: int,
    rng: np.random.Generator,
    closest: float = 1.0,
) -> Tensor:
    """`count` square crops, float (count, 3, size, size) in [0, 1], each flipped and turned at random.

    A crop is kept from being plain background by taking the busier of two tries, since most of a product photo
    is plain. closest: above 1, half of the crops are taken up to so much larger, as far as the picture allows,
    and shrunk to their size.
    """
    crops: list[Tensor] = []
    while len(crops) < count:
        picture = pictures[indices[int(rng.integers(len(indices)))]]
        _, h, w = picture.shape
        side = size_px
        if closest > 1 and rng.uniform() < 0.5:
            side = int(size_px * rng.uniform(1, max(1, min(closest, min(h, w) / size_px))))
        tries = []
        for _ in range(2):
            y, x = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
            tries.append(picture[:, y : y + side, x : x + side])
        busy = [float(t[1, ::4, ::4].float().std()) for t in tries]
        crop = tries[int(np.argmax(busy))]
        if side > size_px:
            crop = (
                F.interpolate(crop[None].float(), size=(size_px, size_px), mode="bicubic", antialias=True)[0]
                .round_()
                .clamp_(0, 255)
            )
        turns = int(rng.integers(8))
        crop = crop.rot90(turns % 4, (1, 2))
        crops.append((crop.flip(2) if turns >= 4 else crop).contiguous().float())
    return torch.stack(crops).div_(255)
