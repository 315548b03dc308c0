"""A generator of product pictures by category, and the encoder it was first trained with.

Variational autoencoder (Kingma & Welling 2014) whose decoder is then tuned as a generator against a discriminator
(VAE-GAN, Larsen et al. 2016). Where we leave the papers:
- New pictures are not drawn from the standard normal prior but from a mixture of Gaussians fitted, category by
  category, to where the encoder puts the training pictures (`LatentMixture`). The prior's empty regions are where a
  plain VAE draws things that are no product.
- The last three numbers of a latent are the product's colour (`colour_latent`), so that it can be chosen. In training
  the encoder is given the picture in other hues and other tones than the decoder has to draw: so its own numbers cannot
  hold the colour, and the decoder must take it from those three.
- The latent steers every block by a gain and a shift per channel (StyleGAN, Karras et al. 2019), not only the first.
- Each pixel's channels are scaled to unit mean square (ProGAN, Karras et al. 2018) instead of batch normalisation:
  a picture does not depend on what else is in its batch. Residual branches start at zero (Fixup, Zhang et al. 2019).
- Convolutions run before each upsampling and the last doubling is a pixel shuffle: a third of the work.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import names
from engine.models.layers import doubled, pixel_norm
from engine.models.mixture import LatentMixture
from engine.models.srgb import CHROMA

COLOUR_DIM = 3  # the last numbers of a latent
DIRECTIONS = 4  # of each category
WIDTHS = (256, 224, 128, 64, 48)  # channels at 4, 8, 16, 32 and 64 px
# Rows: luma and two colour differences (BT.601, unscaled) of an RGB triple; scaled to spread about as latents do.
_TO_LATENT = 3 * torch.tensor(CHROMA)


def colour_latent(rgb: Tensor) -> Tensor:
    """What stands in a latent for a colour (N, 3) in [0, 1]: (N, 3), zero for middle grey."""
    return (rgb - 0.5) @ _TO_LATENT.to(rgb).T


def product_colour(x: Tensor) -> Tensor:
    """The colour (N, 3) in [0, 1] of products on white (N, 3, H, W): the mean over what is not white, bright hues
    first.

    A red shoe with a white sole is red, not pink; a white shoe is the grey of its shades. A blank page is white.
    """
    chroma = x.amax(1, keepdim=True) - x.amin(1, keepdim=True)
    weight = ((0.97 - x.amin(1, keepdim=True)) / 0.1).clamp(0, 1) * (0.1 + chroma)
    return (((x - 1) * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3) + 1).clamp(0, 1)


class GeneratorBlock(nn.Module):
    """Twice the size: (N, inputs, H, W) -> (N, outputs, 2H, 2W), steered by a condition (N, condition_dim), which is
    the latent with the category's embedding.
    """

    def __init__(self, inputs: int, outputs: int, condition_dim: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)
        self.steer = nn.Linear(condition_dim, 2 * outputs)

    def start_plain(self) -> None:
        """Weights with which the block only enlarges: the condition hardly steers, the branch adds nothing."""
        nn.init.normal_(self.steer.weight, std=0.02)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, shift = self.steer(condition)[:, :, None, None].chunk(2, 1)
        y = pixel_norm(self.first(x)) * (1 + gain) + shift
        y = self.second(F.leaky_relu(doubled(y), 0.2))
        return F.leaky_relu(pixel_norm(y + doubled(self.skip(x))), 0.2)


class Generator(LatentMixture):
    """Latent (N, D) and category index (N,) -> product pictures (N, 3, S, S) in [0, 1], S = 2 ** (blocks + 3).

    The last three of the D numbers are the product's colour.
    """

    colours = True

    def __init__(
        self,
        categories: tuple[str, ...],
        latent_dim: int = 96 + COLOUR_DIM,
        widths: tuple[int, ...] = WIDTHS,
        components: int | None = None,
    ) -> None:
        super().__init__(categories, latent_dim, components)
        self.widths = widths
        condition_dim = latent_dim + 32
        self.embed = nn.Embedding(len(categories), 32)
        self.start = nn.Linear(condition_dim, widths[0] * 16)
        self.blocks = nn.ModuleList(GeneratorBlock(i, o, condition_dim) for i, o in itertools.pairwise(widths))
        tail = widths[-1] // 4
        self.tail = nn.Conv2d(tail, tail, 3, padding=1)
        self.to_rgb = nn.Conv2d(tail, 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, 0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, GeneratorBlock):
                module.start_plain()

    @property
    def size_px(self) -> int:
        found: int = 2 ** (len(self.widths) + 2)
        return found

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        condition = torch.cat([latents, self.embed(labels)], 1)
        x = self.start(condition).view(len(latents), -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(pixel_norm(x), 0.2)
        for block in self.blocks:
            x = block(x, condition)
        x = F.leaky_relu(self.tail(F.pixel_shuffle(x, 2)), 0.2)
        # Linear while it learns: most pixels are white, and a sigmoid or a clamp has no gradient there.
        x = 0.8 + 0.2 * self.to_rgb(x)
        return x if self.training else without_lattice(x).clamp(0, 1)

    def with_colour(self, latents: Tensor, rgb: Tensor) -> Tensor:
        """The same products (N, D) in another colour: rgb (3,) or (N, 3) in [0, 1]."""
        return torch.cat([latents[:, :-COLOUR_DIM], colour_latent(rgb.to(latents)).expand(len(latents), -1)], 1)

    def colour_of(self, latents: Tensor) -> Tensor:
        """The colours (N, 3) in [0, 1] that latents (N, D) ask for."""
        rgb = latents[:, -COLOUR_DIM:] @ torch.linalg.inv(_TO_LATENT).to(latents).T + 0.5
        found: Tensor = rgb.clamp(0, 1)
        return found

    @torch.no_grad()
    def directions(self, category: str) -> Tensor:
        """The directions (K, D) in which a category's products differ most, each one standard deviation long, float32
        on the CPU.

        The principal components of the fitted latents without their colours (GANSpace, Harkonen et al. 2020, in the
        latent itself). A component's sign is that of its largest number, so that it is the same everywhere.
        """
        shape = self.covariance(category)[:-COLOUR_DIM, :-COLOUR_DIM]
        variances, components = torch.linalg.eigh(shape.double())
        strongest = (components * variances.clamp_min(0).sqrt()).T.flip(0)[:DIRECTIONS].float()
        signs = strongest.gather(1, strongest.abs().argmax(1, keepdim=True)).sign()
        return F.pad(strongest * signs, (0, COLOUR_DIM))


class Encoder(nn.Module):
    """Pictures (N, 3, S, S) in [0, 1] -> mean and log variance of their latent without its colour, (N, D - 3) each."""

    def __init__(
        self, latent_dim: int = 96 + COLOUR_DIM, size_px: int = 128, widths: tuple[int, ...] = (48, 96, 160, 256)
    ) -> None:
        super().__init__()
        # The first convolution works at 32 px, whatever the picture's size: a latent needs no more.
        layers: list[nn.Module] = [
            nn.PixelUnshuffle(size_px // 32),
            nn.Conv2d(3 * (size_px // 32) ** 2, widths[0], 3, padding=1),
            nn.LeakyReLU(0.2),
        ]
        for i, o in itertools.pairwise(widths):
            layers += [nn.Conv2d(i, o, 4, stride=2, padding=1), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        side = 2 ** (6 - len(widths))
        self.head = nn.Linear(widths[-1] * side * side, 2 * (latent_dim - COLOUR_DIM))
        # The means of an untrained encoder are small: under unit noise the decoder would learn to ignore them for good.
        nn.init.constant_(self.head.bias[latent_dim - COLOUR_DIM :], -5.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.head(self.body(4 * (x - 0.8)).flatten(1)).chunk(2, 1)
        return mean, log_variance.clamp(-12, 4)


class Autoencoder(Generator):
    """A generator with the encoder it was trained with, so that it can draw a given picture again."""

    def __init__(
        self,
        categories: tuple[str, ...],
        latent_dim: int = 96 + COLOUR_DIM,
        widths: tuple[int, ...] = WIDTHS,
        components: int | None = None,
        encoder_widths: tuple[int, ...] = (48, 96, 160, 256),
    ) -> None:
        super().__init__(categories, latent_dim, widths, components)
        self.encoder = Encoder(latent_dim, self.size_px, encoder_widths)

    def encode(self, x: Tensor) -> Tensor:
        """Latents (N, D) of products on white (N, 3, S, S) in [0, 1]: the encoder's mean, and the product's colour."""
        return torch.cat([self.encoder(x)[0], colour_latent(product_colour(x))], 1)


def without_lattice(x: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) without what alternates from pixel to pixel along an axis, which is what a pixel shuffle
    leaves.

    Of a wave of the frequency u along either axis sin(u / 2)^6 is taken out: all of a period of two pixels, an eighth
    of one of four, and next to nothing of what is longer.
    """
    taps = x.new_tensor([1.0, -6.0, 15.0, 44.0, 15.0, -6.0, 1.0]) / 64
    across = taps.expand(3, 1, 1, 7)
    padded = F.pad(x, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, across, groups=3), across.transpose(2, 3), groups=3)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) summed over the latent, averaged over the batch (eq. 10,
    appendix B).
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def from_state_dict(state: dict[str, Tensor]) -> Generator:
    """The generator whose weights these are, with its encoder if they hold one; widths are read from the shapes.

    Strict.
    """
    known = names.of_tensor(state["category_names"])
    blocks = sum(key.startswith("blocks.") and key.endswith(".skip.weight") for key in state)
    outputs = [state[f"blocks.{i}.skip.weight"].shape[0] for i in range(blocks)]
    widths = (state["start.weight"].shape[0] // 16, *outputs)
    components, latent_dim = state["means"].shape
    network: Generator
    if "encoder.head.weight" in state:
        encoder_widths = tuple(
            w.shape[0] for key, w in state.items() if key.startswith("encoder.body.") and w.ndim == 4
        )
        network = Autoencoder(known, latent_dim, widths, components, encoder_widths)
    else:
        network = Generator(known, latent_dim, widths, components)
    network.load_state_dict(state)
    return network
