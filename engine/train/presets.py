"""Makes the presets: `python -m engine.train.presets ARTWORKS`, a folder or tar of pictures.

Of each artwork the moments are kept that `features` sees in it (weights/presets.safetensors); then a product picture
of our own is repainted with each (weights/presets/NAME.jpg). The artworks themselves are never copied. Statistics are
good for one network only: run this again whenever `features` was trained anew.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.style import StyleRequest
from engine.image import Picture
from engine.models import gatys
from engine.models.style_loss import Style
from engine.runtime.device import Device, configure
from engine.runtime.work import finished
from engine.settings import ROOT, Settings
from engine.style import presets
from engine.style.styles import seen
from engine.style.stylize import stylize
from engine.train.data import read_pictures
from engine.weights import Weights

# Preset -> the artwork's file name without suffix. All are in the public domain.
ARTWORKS = {
    "great-wave": "mst_wave",
    "starry-night": "dph_9_target",
    "water-lilies": "titu_water-lilies-1919-2",
    "the-scream": "titu_the_scream",
    "composition-vii": "mst_composition_vii",
    "tableau": "adain_mondrian",
    "woman-with-a-hat": "adain_woman_with_hat_matisse",
    "udnie": "mst_udnie",
    "haystacks": "dph_28_target",
    "grande-jatte": "dph_13_target",
    "basket-of-apples": "dph_27_target",
    "bedroom-in-arles": "dph_12_target",
    "cherry-tree": "titu_japanese_flower_sakai_hoitsu",
    "shipwreck": "titu_shipwreck",
    "contrast-of-forms": "adain_contrast_of_forms",
    "portrait-of-metzinger": "mst_Robert_Delaunay,_1906,_Portrait",
}
PHOTO = ROOT / "gradio_ui" / "examples" / "mug.jpg"
RENDERED_PX, THUMBNAIL_PX = 512, 256  # painted at the size people use, then scaled down


def make(
    data: Path,
    out: Path = ROOT / "weights",
    *,
    photo: Path = PHOTO,
    artworks: Mapping[str, str] = ARTWORKS,
    size_px: int = RENDERED_PX,
) -> None:
    """Write out/presets.safetensors and out/presets/NAME.jpg for each of `artworks`, found by name in `data`.

    photo: what the thumbnails show. size_px: how large they are painted, by a request's own method. RequestError when
    an artwork is not there.
    """
    settings = Settings(weights=out)
    weights = Weights(Device(), settings)
    names = {stem: name for name, stem in artworks.items()}
    network = finished(weights.load(presets.NETWORK))
    packed: dict[str, Tensor] = {}
    for file, picture in read_pictures(data):
        if name := names.pop(Path(file).stem, None):
            packed |= presets.pack(name, _style(network.module, picture))
    if names:
        raise RequestError(f"{data} has no picture named {', '.join(sorted(names))}.")
    partial = out / f"{presets.FILE}.partial"
    save_file(packed, partial, metadata={"format": "pt", "network": presets.fingerprint(network.module)})
    os.replace(partial, out / presets.FILE)
    (out / "presets").mkdir(exist_ok=True)
    for name in artworks:
        request = StyleRequest(str(photo), style=name, size_px=size_px, network="embedded")
        for event in stylize(request, weights, weights.device, settings):
            if isinstance(event, Result):
                event.pictures[0].pil(THUMBNAIL_PX).convert("RGB").save(out / "presets" / f"{name}.jpg", quality=85)
                print(f"{name}: {event.seconds:.0f} s", file=sys.stderr, flush=True)


def _style(network: gatys.FeatureExtractor, picture: Image.Image) -> Style:
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    return gatys.measure(network, gatys.BACKBONES[presets.NETWORK], seen(Picture(pixels)).pixels)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m engine.train.presets ARTWORKS`; exit status 2 with one sentence where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m engine.train.presets", description="Make the presets anew.")
    parser.add_argument("artworks", type=Path, help="folder or tar of the artworks")
    configure()
    try:
        make(parser.parse_args(arguments).artworks)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
