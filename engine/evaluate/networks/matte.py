"""`matte`: held-out products on held-out backgrounds, cut out again; and held-out photos whose background is plain
enough to find the product by it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.evaluate.measures import Row, Sources, time_beside

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.weights import Network

SHEET = "cut-outs.jpg"  # in the folder of packed pictures: photos are not shipped
SHOWN = 24
SINGLE = ("clothing/", "trash/")  # folders of photos of one thing each, as sellers take them
COMPOSITES = 480  # of 96 the mean would be known to 0.02 only


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Intersection over union of the masks, and mean absolute error of the mattes, at the size that the network looks
    at and at the one it was trained at. Writes a contact sheet of held-out photos as they are cut out, to be looked at.
    """
    import numpy as np
    import torch

    from engine.evaluate.sheets import write_cut_outs
    from engine.models.matte import WORK_PX
    from engine.models.segment import product_mask
    from engine.product import by_network
    from engine.train.recipes.matte import composites, read_cut_outs, seen_photo

    cut_outs = read_cut_outs([sources.folder / "packshots.tar"], sources.cache, held_out=True).pixels
    seen = read_cut_outs(sources.photo_packs(), sources.cache, held_out=True, cut=seen_photo, kind="seen")
    photos, known = sources.photos(), set(seen.names)

    def every(find: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
        return torch.cat([find(x) for x in pictures.split(1)])

    for size_px in (WORK_PX, 160):
        _, backgrounds = photos.split(size_px)
        # A photo with a product in its middle is no background: its corners are.
        empty = [i for i in backgrounds if photos.names[i] not in known]
        pictures, truth = composites(
            cut_outs, photos, empty, COMPOSITES, size_px, np.random.default_rng(0), corners=backgrounds
        )
        middle = truth.mean(0, keepdim=True).expand_as(truth)
        found = {
            "mask by the background's colour": every(lambda x: product_mask(x).mask, pictures),
            "where products are on average": (middle > _best_level(middle, truth)).float(),
        }
        ours = every(lambda x: by_network(x, network), pictures)
        said = f"{COMPOSITES} held-out composites of {size_px} px"
        for name, other in found.items():
            headline = size_px == WORK_PX and name.startswith("mask")
            yield Row(said, "mean IoU", _iou(ours, truth), _iou(other, truth), name, "IoU" if headline else "")
            error, other_error = (100 * float((t - truth).abs().mean()) for t in (ours, other))
            yield Row(
                said, "mean absolute error of the matte (%)", error, other_error, name, "error %" if headline else ""
            )
        yield Row(said, "mean IoU", _iou(ours, truth), 0.9, "goal")
        shares = torch.stack([_overlaps(ours, truth) > level for level in (0.9, 0.5)]).float().mean(1)
        yield Row(said, "cut out with an IoU over 0.9 (%)", 100 * float(shares[0]), 100.0, "all")
        yield Row(said, "lost, with an IoU under 0.5 (%)", 100 * float(1 - shares[1]), 0.0, "none")
    if seen.names:
        pixels, truth = (part.float() / 255 for part in seen.pixels.split((3, 1), 1))
        middle = (truth.mean(0, keepdim=True) > 0.5).float().expand_as(truth)
        ours = every(lambda x: by_network(x, network), pixels)
        said = f"{len(seen.names)} held-out photos on a plain background, whose own mask is true to about 2 px"
        yield Row(
            said, "mean IoU", _iou(ours, truth), _iou(middle, truth), "where products are on average", "photos IoU"
        )
        yield Row(
            said,
            "lost, with an IoU under 0.5 (%)",
            100 * float((_overlaps(ours, truth) < 0.5).float().mean()),
            0.0,
            "none",
        )
    write_cut_outs(network, _shown(sources.photo_packs()), sources.cache / SHEET)
    x = torch.rand(1, 3, 1024, 1024)
    yield time_beside(
        "1 Mpx", lambda: by_network(x, network), lambda: product_mask(x), "mask by the background's colour"
    )


def _shown(packs: Sequence[Path]) -> list[Tensor]:
    """SHOWN held-out photos of single things, spread over all of them, (1, 3, H, W) each."""
    import numpy as np
    import torch

    from engine.train.data import is_held_out, read_pictures

    held_out = [(name, picture) for pack in packs for name, picture in read_pictures(pack) if is_held_out(name)]
    of_things = [picture for name, picture in held_out if name.startswith(SINGLE)] or [
        picture for _, picture in held_out
    ]
    chosen = np.linspace(0, len(of_things) - 1, min(SHOWN, len(of_things))).round().astype(int)
    return [
        torch.from_numpy(np.array(of_things[i].convert("RGB"))).permute(2, 0, 1)[None].float() / 255 for i in chosen
    ]


def _best_level(matte: Tensor, truth: Tensor) -> float:
    """The threshold at which a matte overlaps the truth best: the baseline gets the better of all of these."""
    return max((0.1, 0.2, 0.3, 0.4, 0.5), key=lambda level: _iou((matte > level).float(), truth))


def _overlaps(found: Tensor, truth: Tensor) -> Tensor:
    """IoU of each of the masks that mattes (N, 1, H, W) make at one half, (N,)."""
    a, b = found > 0.5, truth > 0.5
    return (a & b).sum((1, 2, 3)) / (a | b).sum((1, 2, 3)).clamp_min(1)


def _iou(found: Tensor, truth: Tensor) -> float:
    return float(_overlaps(found, truth).mean())
