"""Recipe of `studio`, the generator: first a perceptual VAE, then its decoder against a discriminator.

Stage 1 (to `vae_share` of the steps): reconstruct packshots under a loss that looks through `features` (Hou et al.
2017, deep feature consistent VAE), KL warmed up. Stage 2: codes drawn from the fitted mixture must pass a
discriminator that sees pictures only through the fixed `features` (Projected GAN, Sauer et al. 2021), with the hinge
loss (Lim & Ye 2017), category by projection (Miyato & Koyama 2018) and DiffAugment (Zhao et al. 2020);
reconstruction goes on as an anchor, so that the adversary sharpens and cannot collapse what stage 1 knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engine.models.features import Features
from engine.models.generator import Encoder, Generator, from_state_dict, kl_divergence
from engine.train import data
from engine.train.loop import Average, Recipe, learning_rate

# Luma and two chroma differences (BT.601 without scaling); chroma counts more, since colours lag in a VAE.
_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.5, 0.0, 0.5], [-0.5, 1.0, -0.5]])
_YCC_WEIGHT = torch.tensor([1.0, 1.5, 1.5]).view(1, 3, 1, 1)


def frame(size_px: int, margin: float = 0.06, threshold: int = 244) -> Any:
    """Crop a packshot to its product, lay it in the middle of a white square with a margin, scale to `size_px`.

    Packshots here were squashed from 3:4; that is undone first.
    """

    def prepare(picture: Image.Image) -> Image.Image:
        picture = picture.resize((picture.width, round(picture.height * 4 / 3)), Image.Resampling.BICUBIC)
        box = picture.convert("L").point(lambda v: 255 * (v < threshold)).getbbox() or (0, 0, *picture.size)
        product = picture.crop(box)
        side = round(max(product.size) * (1 + 2 * margin))
        square = Image.new("RGB", (side, side), "white")
        square.paste(product, ((side - product.width) // 2, (side - product.height) // 2))
        return square.resize((size_px, size_px), Image.Resampling.LANCZOS)

    return prepare


def read_packshots(sources: Sequence[Path], table: Path, cache: Path, categories: tuple[str, ...], *, held_out: bool = False) -> tuple[Tensor, Tensor]:
    """Framed packshots uint8 (N, 3, 64, 64) that have one of `categories`, and its index (N,); to train, or held out."""
    packed = data.pack(sources, cache, "packshots_64", frame(64))
    category = data.read_categories(table)
    chosen = packed.subset(lambda name: category.get(name) in categories and data.is_held_out(name) == held_out)
    labels = torch.tensor([categories.index(category[packed.names[i]]) for i in chosen])
    return torch.stack([packed[i] for i in chosen]), labels


class Heads(nn.Module):
    """The trained half of the discriminator: on each layer of `features` a small net that gives a map of logits."""

    def __init__(self, categories: int, widths: Sequence[int] = (16, 32, 64, 128, 256), hidden: int = 64) -> None:
        super().__init__()
        self.bodies = nn.ModuleList()
        for k, width in enumerate(widths):
            stride = 2 if k < 3 else 1
            layers = [
                nn.Conv2d(width, hidden, 4 if stride == 2 else 3, stride, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(hidden, hidden, 3, 1, 1),
                nn.LeakyReLU(0.2),
            ]
            self.bodies.append(nn.Sequential(*[nn.utils.parametrizations.spectral_norm(m) if isinstance(m, nn.Conv2d) else m for m in layers]))
        self.logits = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in widths)
        self.embed = nn.ModuleList(nn.Embedding(categories, hidden) for _ in widths)

    def forward(self, activations: list[Tensor], labels: Tensor) -> list[Tensor]:
        maps = []
        for x, body, logit, embed in zip(activations, self.bodies, self.logits, self.embed, strict=True):
            h = body(x)
            maps.append(logit(h) + (h * embed(labels)[:, :, None, None]).mean(1, keepdim=True))
        return maps


class GanRecipe(Recipe):
    """pictures: uint8 (N, 3, S, S); labels: (N,) category indices."""

    name = "studio"

    def __init__(
        self,
        features: Features,
        pictures: Tensor,
        labels: Tensor,
        categories: tuple[str, ...],
        *,
        steps: int,
        vae_share: float = 0.4,
        batch: int = 32,
        peak: float = 1.2e-3,
        kl_weight: float = 0.0012,
        adversarial_weight: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.vae_steps, self.batch, self.peak, self.seed = steps, round(steps * vae_share), batch, peak, seed
        self.kl_weight, self.adversarial_weight = kl_weight, adversarial_weight
        self.pictures, self.labels, self.categories = pictures, labels, categories
        # A category is drawn by the root of its size: ties are seen, and shoes still most often.
        counts = torch.bincount(labels, minlength=len(categories)).double().clamp(min=1)
        chances = counts.rsqrt()[labels]
        self.chances = (chances / chances.sum()).numpy()
        self.features = features.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.generator = Generator(categories).to(memory_format=torch.channels_last)
        self.encoder = Encoder().to(memory_format=torch.channels_last)
        self.heads = Heads(len(categories)).to(memory_format=torch.channels_last)
        self.average = Average(self.generator, half_life_steps=500)
        self.autoencoder_optimizer = torch.optim.Adam([*self.generator.parameters(), *self.encoder.parameters()], lr=peak, betas=(0.5, 0.99))
        self.heads_optimizer = torch.optim.Adam(self.heads.parameters(), lr=peak, betas=(0.0, 0.99))
        self.modules = {"generator": self.generator, "encoder": self.encoder, "heads": self.heads, "average": self.average.module}
        self.optimizers = {"autoencoder": self.autoencoder_optimizer, "heads_optimizer": self.heads_optimizer}
        x = self._batch(self.rng(0), 64)[0]
        with torch.no_grad():
            self.scale = [float(a.std()) for a in self.features(x)]

    def load_state(self, state: dict[str, Any]) -> None:
        for part in ("generator", "average"):  # the fitted mixture has as many components as its file says
            for buffer in ("means", "component_of", "component_share"):
                setattr(self.modules[part], buffer, torch.empty_like(state[part][buffer]))
        super().load_state(state)

    def step(self, step: int) -> dict[str, float]:
        if step == self.vae_steps:
            self._fit()
        rng = self.rng(step)
        adversarial = step >= self.vae_steps
        if adversarial:
            learning_rate(self.autoencoder_optimizer, self.peak / 4, step - self.vae_steps, self.steps - self.vae_steps)
            learning_rate(self.heads_optimizer, self.peak / 2, step - self.vae_steps, self.steps - self.vae_steps)
        else:
            # The VAE keeps its rate: stage 2 lowers it, and codes should still move when the mixture is fitted late.
            learning_rate(self.autoencoder_optimizer, self.peak, step, self.vae_steps, hold=0.7)
        x, labels = self._batch(rng, self.batch)
        noise = _normal(rng, (self.batch, self.generator.latent_dim))
        mean, log_variance = self.encoder(x)
        reconstruction = self.generator(mean + (log_variance / 2).exp() * noise, labels)
        perceptual, pixel = self._distance(reconstruction, x)
        kl = kl_divergence(mean, log_variance)
        loss = perceptual + 4 * pixel + self.kl_weight * min(1.0, step / (0.3 * self.vae_steps + 1)) * kl
        losses = {"perceptual": float(perceptual.detach()), "pixel": float(pixel.detach()), "kl": float(kl.detach())}
        if adversarial:
            losses |= self._adversarial(rng, x, labels, reconstruction, loss)
        else:
            self.autoencoder_optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.autoencoder_optimizer.step()
        self.average.update(self.generator, step)
        return losses

    def _adversarial(self, rng: np.random.Generator, x: Tensor, labels: Tensor, reconstruction: Tensor, loss: Tensor) -> dict[str, float]:
        fake_labels = labels[torch.from_numpy(rng.permutation(len(labels)))]
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
        latents = torch.cat([self.generator.sample_latents(self.categories[int(c)], 1, 1.0, noise) for c in fake_labels])
        fake = self.generator(latents, fake_labels)
        seeds = rng.integers(2**31, size=2)
        both, both_labels = torch.cat([fake, reconstruction]), torch.cat([fake_labels, labels])

        self.heads_optimizer.zero_grad(set_to_none=True)
        real_maps = self._judge(x, labels, seeds[0])
        fake_maps = self._judge(both.detach(), both_labels, seeds[1])
        judged = torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real_maps, fake_maps, strict=True)]).sum()
        judged.backward()
        self.heads_optimizer.step()

        self.autoencoder_optimizer.zero_grad(set_to_none=True)
        self.heads.requires_grad_(False)
        fooled = -torch.stack([m.mean() for m in self._judge(both, both_labels, seeds[1])]).sum()
        (loss + self.adversarial_weight * fooled).backward()
        self.heads.requires_grad_(True)
        self.autoencoder_optimizer.step()
        real = sum(float((m.detach() > 0).float().mean()) for m in real_maps) / len(real_maps)
        false = sum(float((m.detach() < 0).float().mean()) for m in fake_maps) / len(fake_maps)
        return {"heads": float(judged.detach()), "fooled": float(fooled.detach()), "real_right": real, "fake_right": false}

    def _judge(self, x: Tensor, labels: Tensor, seed: int) -> list[Tensor]:
        return self.heads(self.features(augment(x, np.random.default_rng(int(seed)))), labels)

    def _distance(self, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
        """Perceptual L1 over conv1 to conv4, each in units of its own spread; pixel L1 and L2 with weighted chroma."""
        with torch.no_grad():
            wanted = self.features(theirs, 4)
        perceptual = torch.stack([F.l1_loss(a, b) / s for a, b, s in zip(self.features(ours, 4), wanted, self.scale, strict=False)]).sum()
        difference = torch.einsum("ij,njhw->nihw", _YCC, ours - theirs) * _YCC_WEIGHT
        # Under L1 alone the best guess of an ignorant decoder is the median, an empty white page, and it stays there.
        return perceptual, difference.abs().mean() + 5 * difference.square().mean()

    def _batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(rng.choice(len(self.pictures), count, p=self.chances))
        x = self.pictures[chosen].float().div_(255)
        return recolour(x, rng).contiguous(memory_format=torch.channels_last), self.labels[chosen]

    @torch.no_grad()
    def _fit(self) -> None:
        """Fit the mixture of codes to every training picture."""
        means, variances = [], []
        for part in self.pictures.split(256):
            mean, log_variance = self.encoder(part.float().div(255).contiguous(memory_format=torch.channels_last))
            means.append(mean)
            variances.append(log_variance.exp())
        self.generator.fit_latents(torch.cat(means), torch.cat(variances), self.labels)
        self.average.module.fit_latents(torch.cat(means), torch.cat(variances), self.labels)

    def sample(self) -> Tensor:
        """Two rows of reconstructions under their originals, then six of each category's samples at truncation 0.8."""
        x, labels = self._batch(np.random.default_rng(7), 10)
        rng = torch.Generator().manual_seed(0)
        if not bool(self.average.module.means.any()):  # stage 1: fitted for the picture only
            self._fit()
            preview = from_state_dict({k: v.clone() for k, v in self.average.module.state_dict().items()})
            for network in (self.generator, self.average.module):
                network.means.zero_()
        else:
            preview = self.average.module
        with torch.no_grad():
            rows = [x, preview(self.encoder(x)[0], labels)]
            for i, category in enumerate(self.categories):
                latents = preview.sample_latents(category, 10, 0.8, rng)
                rows.append(preview(latents, torch.full((10,), i)))
        return F.interpolate(torch.cat(rows), scale_factor=1.5, mode="bicubic").clamp(0, 1)

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


def recolour(x: Tensor, rng: np.random.Generator, chance: float = 0.3) -> Tensor:
    """Turn the hue of some pictures: products come in colours that few packshots show. White and grey stay."""
    n = len(x)
    angle = torch.from_numpy(rng.uniform(-np.pi, np.pi, n) * (rng.uniform(size=n) < chance)).float()
    luma = torch.tensor([0.299, 0.587, 0.114])
    grey = (x * luma.view(1, 3, 1, 1)).sum(1, keepdim=True)
    axis = torch.full((3,), 3**-0.5)
    cross = torch.tensor([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    turn = torch.eye(3) + angle.sin().view(-1, 1, 1) * cross + (1 - angle.cos()).view(-1, 1, 1) * (cross @ cross)  # Rodrigues
    turned = torch.einsum("nij,njhw->nihw", turn, x - grey)
    turned = turned - (turned * luma.view(1, 3, 1, 1)).sum(1, keepdim=True)
    return torch.where((angle == 0).view(-1, 1, 1, 1), x, (grey + turned).clamp(0, 1))


def augment(x: Tensor, rng: np.random.Generator) -> Tensor:
    """DiffAugment: brightness, saturation, contrast, translation by up to an eighth; the same for a whole batch's seed.

    Borders are filled with white, which is what lies beyond a packshot's border. No cutout: a hole in a product is
    exactly what the discriminator should see as wrong.
    """
    n, _, h, w = x.shape

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1)).astype(np.float32))

    x = x + draw(-0.1, 0.1)
    mean = x.mean(1, keepdim=True)
    x = (x - mean) * draw(0.6, 1.4) + mean
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * draw(0.8, 1.2) + mean
    most = h // 8
    padded = F.pad(x, (most, most, most, most), value=1.0)
    shifts = rng.integers(0, 2 * most + 1, (n, 2))
    return torch.stack([p[:, dy : dy + h, dx : dx + w] for p, (dy, dx) in zip(padded, shifts.tolist(), strict=True)]).contiguous(
        memory_format=torch.channels_last
    )


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
