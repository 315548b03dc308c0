"""Asks teachers where the product is on photos: `python -m engine.train.masks TEACHER --data DIR ... --out DIR`.

One grey PNG per photo lies in out/TEACHER afterwards, at the photo's size; what is there already is not asked again, so
a stopped run goes on. Labels for `matte` are made of them where teachers agree (engine/train/labels.py).

Teachers:
- isnet: IS-Net (Qin et al. 2022) as an ONNX file; 1024 x 1024, (x - 0.5) / 1;
- u2netp: U2-Net-p (Qin et al. 2020) as an ONNX file; 320 x 320, standardised as for ImageNet;
- ours: the app's own cut-out, with the weights of now.
The first two need the package onnxruntime.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from engine import product
from engine.contract.errors import RequestError
from engine.image import Picture
from engine.runtime.device import Device, configure
from engine.runtime.work import finished
from engine.settings import Settings
from engine.train.data import read_pictures
from engine.weights import Weights

Look = Callable[[Tensor], Tensor]  # of a photo (1, 3, H, W) in [0, 1], its mask (1, 1, H, W) in [0, 1]


class Input(NamedTuple):
    """How a teacher wants a photo: squeezed into a square, less a mean, over a deviation."""

    side_px: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


INPUTS = {
    "isnet": Input(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "u2netp": Input(320, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
OURS = "ours"


def teacher(name: str, file: Path | None) -> Look:
    """What teacher `name` sees. RequestError when it has no file, or onnxruntime is not installed."""
    if name == OURS:
        return _ours()
    if file is None or not file.is_file():
        raise RequestError(f"The teacher {name} needs its ONNX file: --file FILE.")
    try:
        import onnxruntime
    except ImportError as error:
        raise RequestError(f"The teacher {name} needs the package onnxruntime: pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    first, wanted = session.get_inputs()[0].name, session.get_outputs()[0].name

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        (mask,) = session.run([wanted], {first: x})
        return np.asarray(mask, np.float32)

    return seen_by(run, INPUTS[name])


def seen_by(run: Callable[[NDArray[np.float32]], NDArray[np.float32]], wants: Input) -> Look:
    """A network that maps (1, 3, S, S) to (1, 1, S, S), as a look at photos of any size."""
    mean, deviation = (torch.tensor(t).view(1, 3, 1, 1) for t in (wants.mean, wants.deviation))

    def look(photo: Tensor) -> Tensor:
        size = (wants.side_px, wants.side_px)
        square = F.interpolate(photo, size, mode="bilinear", antialias=True, align_corners=False)
        mask = torch.from_numpy(run(((square - mean) / deviation).numpy()))
        return F.interpolate(mask, photo.shape[2:], mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)

    return look


def _ours() -> Look:
    weights = Weights(Device(), Settings())
    network = finished(product.finder(weights))

    def look(photo: Tensor) -> Tensor:
        mask = product.of(Picture(photo), network)
        return torch.zeros_like(photo[:, :1]) if mask is None else mask

    return look


def mask_file(folder: Path, photo: str) -> Path:
    """Where the mask of a photo lies in a teacher's folder."""
    return folder / f"{photo.replace('/', '_')}.png"


def collect(look: Look, sources: Sequence[Path], folder: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Writes the masks that are not there yet into `folder`, photo by photo in an order by chance that is always the
    same, so that a part of them is a fair part; the name of each photo when it is done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photos = [(name, picture) for source in sources for name, picture in read_pictures(source)]
    for name, picture in sorted(photos, key=lambda photo: hashlib.sha1(photo[0].encode()).digest()):
        file = mask_file(folder, name)
        if not wanted(name) or file.exists():
            continue
        photo = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            mask = look(photo)[0, 0]
        half = file.with_suffix(".part")
        Image.fromarray((mask * 255).round().byte().numpy()).save(half, "PNG")
        half.replace(file)  # a stopped run leaves no half of a file
        yield name


def overlap(folder: Path, other: Path, photo: str) -> float:
    """Intersection over union of two teachers' masks of a photo; 0 where one has none."""
    files = mask_file(folder, photo), mask_file(other, photo)
    if not all(file.exists() for file in files):
        return 0.0
    one, two = (np.asarray(Image.open(file)) > 127 for file in files)
    return float((one & two).sum() / max(1, (one | two).sum()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.train.masks", description=__doc__.splitlines()[0])
    parser.add_argument("teacher", choices=[*INPUTS, OURS])
    parser.add_argument("--file", type=Path, help="the teacher's ONNX file")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or tars of photos")
    parser.add_argument("--out", type=Path, required=True, help="folder of the teachers' folders")
    parser.add_argument("--unless", nargs=2, metavar="TEACHER", help="not where these two agree already")
    parser.add_argument("--agree", type=float, default=0.93, help="from which overlap on two agree; 0.93 unless given")
    told = parser.parse_args(arguments)
    configure()

    def wanted(name: str) -> bool:
        if not told.unless:
            return True
        one, two = (told.out / other for other in told.unless)
        return overlap(one, two, name) < float(told.agree)

    try:
        look = teacher(told.teacher, told.file)
        for count, name in enumerate(collect(look, told.data, told.out / told.teacher, wanted), 1):
            print(f"{count}  {name}", flush=True)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
