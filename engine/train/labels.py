"""Labels by agreement: where two teachers or more see the same product on a photo, that is taken for true.

None of the teachers is right everywhere, and each errs in its own way: what two of them see alike is hardly ever wrong.
Pixels on which even these differ have no weight. Masks come from `python -m engine.train.masks`.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from engine.contract.errors import RequestError
from engine.train.data import digest, read_pictures
from engine.train.masks import mask_file

ALIKE = 0.9  # intersection over union from which on two masks agree
_LEAST, _MOST = 0.02, 0.9  # of the photo: less is dust, more is no cut-out to learn from
_CLOSE = 0.5  # apart by more, masks that agree as a whole do not agree on a pixel
CHANNELS = 5  # red, green, blue, label, weight


def agreement(masks: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The label and the weight of each pixel, (H, W) in [0, 1] both, that masks (H, W) in [0, 1] agree on.

    It is the mean of the two that are most alike, and of every other that is like both. None where no two are.
    """
    found = [mask > 0.5 for mask in masks]
    alike = {(i, j): _overlap(found[i], found[j]) for i, j in itertools.combinations(range(len(masks)), 2)}
    if not alike:
        return None
    pair = max(alike, key=lambda ij: alike[ij])
    if alike[pair] < ALIKE:
        return None
    group = [k for k in range(len(masks)) if k in pair or all(_overlap(found[k], found[p]) >= ALIKE for p in pair)]
    chosen = np.stack([masks[k] for k in group])
    label = chosen.mean(0)
    if not _LEAST < float((label > 0.5).mean()) < _MOST:
        return None
    return label, (np.ptp(chosen, axis=0) < _CLOSE).astype(np.float32)


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


class Labelled(Sequence[Tensor]):
    """Photos with labels in one memory-mapped file: item i is a uint8 (5, H, W) view, `names[i]` the photo's name."""

    def __init__(self, file: Path) -> None:
        index = json.loads(file.with_suffix(".json").read_text())
        self.names: list[str] = index["names"]
        self._sizes: list[tuple[int, int]] = [tuple(size) for size in index["sizes"]]
        self._offsets = np.concatenate([[0], np.cumsum([CHANNELS * h * w for h, w in self._sizes])])
        self._pixels = np.memmap(file, dtype=np.uint8, mode="c")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Tensor:  # type: ignore[override]
        h, w = self._sizes[i]
        return torch.from_numpy(self._pixels[self._offsets[i] : self._offsets[i + 1]].reshape(CHANNELS, h, w))


def read(sources: Sequence[Path], masks: Path, cache: Path, most_px: int = 512) -> Labelled:
    """Every photo of `sources` on which teachers agree, with a longer side of at most `most_px`; kept in `cache`.

    masks: the folder of the teachers' folders. RequestError when they agree on none.
    """
    folders = sorted(folder for folder in masks.iterdir() if folder.is_dir())
    counts = "-".join(f"{folder.name}{len(list(folder.glob('*.png')))}" for folder in folders)
    file = cache / f"labels_{most_px}-{counts}-{digest(sources)}.u8"
    if not file.with_suffix(".json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as own:
            names, sizes = [], []
            with Path(own, "pixels").open("wb") as out:
                for name, pixels in _labelled(sources, folders, most_px):
                    out.write(pixels.tobytes())
                    names.append(name)
                    sizes.append(pixels.shape[1:])
            if not names:
                raise RequestError(f"The masks in {masks} agree on no photo of {', '.join(map(str, sources))}.")
            Path(own, "index").write_text(json.dumps({"names": names, "sizes": sizes}))
            Path(own, "pixels").replace(file)
            Path(own, "index").replace(file.with_suffix(".json"))
    return Labelled(file)


def _labelled(
    sources: Sequence[Path], folders: Sequence[Path], most_px: int
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for source in sources:
        for name, picture in read_pictures(source):
            picture.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
            files = [mask_file(folder, name) for folder in folders]
            masks = [
                Image.open(file).resize(picture.size, Image.Resampling.BILINEAR) for file in files if file.exists()
            ]
            if agreed := agreement([np.asarray(mask, np.float32) / np.float32(255) for mask in masks]):
                planes = [*np.asarray(picture).transpose(2, 0, 1), *((plane * 255).round() for plane in agreed)]
                yield name, np.stack(planes).astype(np.uint8)
