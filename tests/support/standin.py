"""A studio without networks, so that the page can be tested and looked at in milliseconds and without torch.

It keeps the contract of `engine.Studio`: requests and questions in, events out, the last one a Result or an Answer;
closing the generator stops it. Pictures are numpy arrays with the methods of `engine.image.Picture` that a caller uses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

from engine import image
from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Answer, Event, Notes, Progress, Question, Result
from engine.contract.generate import CATEGORIES, GenerateRequest
from engine.contract.recipe import Requests
from engine.contract.recolour import RecolourRequest
from engine.contract.style import StyleRequest
from engine.pictures import PictureFiles
from engine.settings import Settings


@dataclass(frozen=True, eq=False)
class Card:
    """A picture as a uint8 array (H, W, 3)."""

    array: np.ndarray
    name: str = "picture"
    exif: bytes | None = None
    most_bytes: int | None = None

    @property
    def width(self) -> int:
        return int(self.array.shape[1])

    @property
    def height(self) -> int:
        return int(self.array.shape[0])

    def pil(self, most_px: int | None = None) -> Image.Image:
        picture = Image.fromarray(self.array)
        if most_px:
            picture.thumbnail((most_px, most_px))
        return picture

    def resized(self, width: int, height: int) -> Card:
        return replace(self, array=np.asarray(self.pil().resize((width, height), Image.Resampling.BICUBIC)))

    def save(
        self, file: str | Path, *, quality: int = 90, recipe: Mapping[str, Any] | None = None, keep_exif: bool = False
    ) -> Path:
        path, info = Path(file), PngInfo()
        info.add_itxt("vitrine", json.dumps(dict(recipe or {})))  # where engine.image looks for it
        self.pil().save(path, **({"pnginfo": info} if path.suffix == ".png" else {"quality": quality}))
        return path


@dataclass(frozen=True)
class Preset:
    name: str
    title: str
    artist: str
    year: int
    licence: str
    thumbnail: Path


class StandIn(PictureFiles):
    """`seconds` is how long each request works, `asking` how long each question; `running` counts those at work,
    `closed` those that were stopped.
    """

    def __init__(self, folder: Path, *, seconds: float = 0.3) -> None:
        super().__init__(Settings.from_environment())
        self.seconds, self.running, self.most_running, self.closed, self.finished = seconds, 0, 0, 0, 0
        self.asking = 0.0
        self.requests: list[Requests] = []
        self.finds = True
        self._presets = [_preset(folder, i) for i in range(8)]

    def presets(self) -> list[Preset]:
        return list(self._presets)

    def models(self) -> list[dict[str, Any]]:
        return [
            {
                "name": "restore",
                "task": "restore",
                "source": "embedded",
                "size": 1_000_000,
                "licence": "Apache-2.0",
                "where": "weights/",
                "measured": {"psnr": 30.1},
            },
            {"name": "scunet", "task": "restore", "source": "deepinv/scunet", "where": "Hub"},
            {"name": "realesr-general-x4", "task": "upscale-x4", "source": "xinntao/Real-ESRGAN", "where": "Hub"},
            {"name": "upscale-x4", "task": "upscale-x4", "source": "embedded", "where": "weights/"},
            {"name": "upscale-x4-crisp", "task": "upscale-crisp-x4", "source": "embedded", "where": "weights/"},
            {
                "name": "studio",
                "task": "generate",
                "directions": {category: ["Height", "Brightness"] for category in CATEGORIES},
            },
            {"name": "dcgan", "task": "generate"},
            {
                "name": "vgg19",
                "task": "features",
                "source": "timm/vgg19.tv_in1k",
                "size": 574_700_000,
                "licence": "BSD-3",
                "where": "Hub",
                "measured": "",
            },
        ]

    def find_product(self, file: str) -> Question[Any]:
        """The middle of the photo."""
        card = self._opened(file)
        array = np.zeros_like(card.array)
        array[card.height // 4 : -card.height // 4, card.width // 4 : -card.width // 4] = 255
        return self._asked(file, Card(array))

    def propose_tone(self, file: str) -> Question[tuple[float, ...] | None]:
        """Half a stop lighter and a little warmer."""
        return self._asked(file, (0.5, 0.1, 0.0, 0.0, 0.0, 0.0))

    def look(self, file: str) -> Question[Any]:
        """A proposal of two steps for any photo, or of none where `finds` is False."""
        steps = (
            [{"name": "restore", "reason": "It is a <stand-in>."}, {"name": "tone", "reason": "It is dark."}]
            if self.finds
            else []
        )
        reasons = [step["reason"] for step in steps] or ["Nothing in this photo needs mending, so it is left as it is."]
        findings = [{"what": "noise", "value": 7.0, "text": "deviation of 7.0 of 255 levels"}]
        report = {
            "findings": findings,
            "steps": steps,
            "strength": 0.7,
            "adjust": [0.5, 0.0, 0.0, 0.0, 0.0, 0.0] if steps else [],
            "reasons": reasons,
        }
        return self._asked(file, SimpleNamespace(report=lambda: report))

    def _asked(self, file: str, value: Any) -> Question[Any]:
        def work() -> Question[Any]:
            self.check(file)
            for done in range(20):
                time.sleep(self.asking / 20)
                yield Progress(done, 20, "Looking at the photo")
            yield Answer(value)

        return self._counted(work())

    def warm_up(self) -> None:
        pass

    def run(self, request: Requests) -> Iterator[Event]:
        self.requests.append(request)
        yield from self._counted(self._work(request))

    def _counted(self, work: Any) -> Any:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            yield from work
            self.finished += 1
        except GeneratorExit:
            self.closed += 1
            raise
        finally:
            self.running -= 1

    def _work(self, request: Requests) -> Iterator[Event]:
        network = getattr(request, "network", "auto")
        if network == "broken":
            raise ZeroDivisionError("a secret path: /srv/secret")
        if network not in ("auto", "embedded", "hub", "studio", "dcgan", "restore", "upscale-x4"):
            raise RequestError(f"There is no network '{network}'.")
        photo = self._sheet(request) if isinstance(request, GenerateRequest) else self._opened(request.photo)
        if isinstance(request, StyleRequest) and request.style not in {p.name for p in self._presets}:
            image.check(request.style)
        started, total = time.monotonic(), 20
        for done in range(total):
            time.sleep(self.seconds / total)
            yield Progress(done + 1, total, f"Step {done + 1} of {total}", preview=photo if done % 7 == 3 else None)
        for done in range(1, len(request.steps) if isinstance(request, EnhanceRequest) else 0):
            yield Progress(
                100 * done, 100 * len(request.steps), "A step is done", made=replace(photo, array=photo.array // 2)
            )
        yield self._result(request, photo, time.monotonic() - started)

    def _sheet(self, request: GenerateRequest) -> Card:
        for file in (request.photo, request.sketch):
            if file:
                image.check(file)
        return Card(np.full((96, 128, 3), 230, dtype=np.uint8))

    def _opened(self, file: str) -> Card:
        image.check(file)
        with Image.open(file) as picture:
            return Card(np.asarray(picture.convert("RGB")), Path(file).stem)

    def _result(self, request: Requests, photo: Card, seconds: float) -> Result:
        if isinstance(request, GenerateRequest):
            rng = np.random.default_rng(request.seed)
            colours = [rng.integers(90, 250, 3, dtype=np.uint8) for _ in range(request.count)]
            cards = [
                Card(np.broadcast_to(c, (128, 128, 3)).copy(), f"{request.category}-{request.seed}-{i:02d}")
                for i, c in enumerate(colours, 1)
            ]
            return Result(tuple(cards), request.recipe(), Notes(("stand-in",), "CPU"), seconds)
        if isinstance(request, RecolourRequest):
            return Result(
                tuple(photo for _ in request.colours),
                request.recipe(),
                Notes(("recolour",), "CPU"),
                seconds,
                before=photo,
            )
        big = photo
        if isinstance(request, EnhanceRequest) and request.steps[-1].startswith("upscale"):
            scale = int(request.steps[-1][-1])
            big = photo.resized(photo.width * scale, photo.height * scale)
        effect = np.asarray(big.pil().filter(ImageFilter.CONTOUR))
        notes = Notes(("stand-in",), "CPU", fallbacks=("The Hub did not answer, so the built-in network was used.",))
        return Result((replace(big, array=effect),), request.recipe(), notes, seconds, before=photo)


def _preset(folder: Path, i: int) -> Preset:
    names = ("great-wave", "starry-night", "scream", "water-lilies", "composition", "mosaic", "woodcut", "fauves")
    y, x = np.mgrid[0:160, 0:160] / 160
    turn = np.stack([np.sin(9 * x * (i + 1) + k) + np.cos(7 * y * (i + 2) - k) for k in range(3)], axis=-1)
    path = folder / f"{names[i]}.jpg"
    Image.fromarray(((turn + 2) * 63).astype(np.uint8)).save(path)
    return Preset(names[i], names[i].replace("-", " ").capitalize(), "Somebody", 1880 + i, "public domain", path)
