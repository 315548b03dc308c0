"""The example pictures: the files that the page shows, and the renderer that made them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.settings import ROOT
from engine.showcase import examples
from engine.showcase.bsdf import Bsdf
from engine.showcase.developing import denoise, develop
from engine.showcase.light import Environment
from engine.showcase.scene import Camera, Material, Scene, Softbox, Solid, Surface
from engine.showcase.shapes import Curve, Drawing, box, capsule
from engine.showcase.tracer import Tracer
from engine.showcase.vectors import dot, vector

FOLDER = ROOT / "gradio_ui" / "examples"
PRODUCTS = ["handbag", "mug", "perfume", "sneaker", "vase", "watch"]


def test_every_example_is_a_small_jpeg_of_the_size_the_page_wants() -> None:
    files = sorted(FOLDER.glob("*.jpg"))
    assert [f.stem for f in files] == sorted([*PRODUCTS, *(f"snapshot-{name}" for name in examples.SNAPSHOTS)])
    assert sum(f.stat().st_size for f in files) < 1_000_000
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert file.stat().st_size < 200_000
            if file.stem.startswith("snapshot-"):
                assert max(picture.size) == examples.SNAPSHOTS[file.stem.removeprefix("snapshot-")].size_px
            else:
                assert 900 <= max(picture.size) <= 1100


@pytest.mark.parametrize("name", PRODUCTS)
def test_an_example_shows_something_on_a_light_even_backdrop(name: str) -> None:
    with Image.open(FOLDER / f"{name}.jpg") as picture:
        pixels = np.asarray(picture, dtype=np.float32)
    corners = np.stack(
        [pixels[y, x] for y in (slice(0, 40), slice(-40, None)) for x in (slice(0, 40), slice(-40, None))]
    )
    assert corners.mean(axis=(1, 2, 3)).min() > (225 if name in ("sneaker", "watch") else 180)
    assert corners.std(axis=(1, 2)).max() < 6
    middle = pixels[pixels.shape[0] // 4 : -pixels.shape[0] // 4, pixels.shape[1] // 4 : -pixels.shape[1] // 4]
    assert middle.std() > 25


def test_the_same_scene_gives_the_same_picture() -> None:
    first, second = examples.render("mug", 48, 2), examples.render("mug", 48, 2)
    assert first.size == (48, 48)
    assert first.tobytes() == second.tobytes()


def test_make_writes_a_picture_and_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "SCENES", {"mug": examples.mug})
    monkeypatch.setattr(examples, "SNAPSHOTS", {"mug": examples.Phone(32, 0.05, (1.0, 0.9, 0.8), 0.5, 25)})
    files = examples.make(tmp_path / "new", size_px=48, passes=2)
    assert [f.name for f in files] == ["mug.jpg", "snapshot-mug.jpg"]
    for file, size_px in zip(files, (48, 32), strict=True):
        with Image.open(file) as picture:
            assert picture.size == (size_px, size_px)


def test_an_empty_floor_is_as_bright_as_the_scene_says() -> None:
    solid = Solid(
        lambda p: [box(p, (0.01, 0.01, 0.01)) + 0.005], [Material()], (-0.02, -0.02, -0.02), (0.02, 0.02, 0.02)
    )
    scene = Scene(solid, Camera((0, 3, 3), (0, 0, 0.5), 20.0), [Softbox((-1, 1, 1), 0.3, 0.3, 8.0)], level=0.6)
    with torch.no_grad():
        linear = Tracer(scene, cells=8).render(24, 24, 64)
    assert linear[-6:].mean() == pytest.approx(0.6, rel=0.03)


@pytest.mark.parametrize(("roughness", "f0"), [(0.1, 0.04), (0.4, 0.04), (0.5, 0.9)])
def test_sampling_a_material_agrees_with_adding_up_all_directions(roughness: float, f0: float) -> None:
    n = 40_000
    rng = torch.Generator().manual_seed(0)
    surface = Surface(torch.full((3, n), 0.5), torch.full((3, n), f0), torch.full((n,), roughness), torch.zeros(n))
    normal, view = vector(0, 1, 0).expand(3, n), vector(0.6, 0.8, 0).expand(3, n)
    bsdf = Bsdf(surface, normal, view)
    choice, u, v = torch.rand(3, n, generator=rng)
    value, density = bsdf.value(bsdf.sample(choice, u, v))
    sampled = torch.where(density > 0, value[0] / density.clamp_min(1e-9), torch.zeros(n)).mean()
    cosine, phi = torch.rand(2, n, generator=rng) * torch.tensor([[1.0], [2 * math.pi]])
    sine = (1 - cosine * cosine).sqrt()
    all_over = bsdf.value(torch.stack([sine * phi.cos(), cosine, sine * phi.sin()]))[0][0].mean() * 2 * math.pi
    assert float(sampled) == pytest.approx(float(all_over), rel=0.04)
    assert float(sampled) < 1.0


def test_light_is_drawn_as_densely_as_its_density_says() -> None:
    light = Environment(lambda d: Softbox((0.3, 1, 0.2), 0.5, 0.4, 5.0).radiance(d) + 0.2, rows=64)
    u, v = torch.rand(2, 60_000, generator=torch.Generator().manual_seed(1))
    directions, density = light.sample(u, v)
    cosine = dot(directions, vector(0, 1, 0).expand_as(directions)).clamp_min(0)
    estimate = (light.radiance(directions)[0] * cosine / density).mean()
    assert float(estimate) == pytest.approx(float(light.irradiance()[0]), rel=0.02)
    assert torch.equal(light.pdf(directions), density)


def test_shapes_have_the_distances_of_geometry() -> None:
    p = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 1.0]]).T.contiguous()
    assert box(p, (1.0, 1.0, 1.0)).tolist() == pytest.approx([1.0, -1.0, math.sqrt(2)])
    assert capsule(p, (0, 0, 0), (0, 3, 0), 0.5).tolist() == pytest.approx([1.5, -0.5, math.sqrt(5) - 0.5])
    curve = Curve((0.0, 1.0), (1.0, 3.0), (2.0, 3.5))
    assert curve(torch.tensor([-1.0, 0.0, 1.0, 2.0, 5.0])).tolist() == pytest.approx(
        [1.0, 1.0, 3.0, 3.5, 3.5], abs=2e-3
    )
    assert bool((curve(torch.linspace(0, 2, 99)).diff() > 0).all())


def test_a_drawing_is_read_with_v_upwards() -> None:
    picture = Image.new("RGB", (8, 8), "black")
    picture.paste("white", (0, 0, 8, 4))
    drawing = Drawing(picture)
    assert drawing(torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1]))[0].tolist() == [1.0, 0.0]


def test_denoising_keeps_an_edge_and_lowers_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    truth = torch.cat([torch.full((3, 32, 16), 0.2), torch.full((3, 32, 16), 0.8)], dim=2)
    halves = [truth + 0.03 * torch.randn(truth.shape, generator=rng) for _ in range(2)]
    clean = denoise(*halves, torch.full_like(truth, 0.03**2), torch.cat([truth, torch.zeros_like(truth)]))
    assert float((clean - truth).std()) < 0.4 * float(((halves[0] + halves[1]) / 2 - truth).std())
    assert float((clean - truth).mean(dim=(0, 1)).abs().max()) < 0.03


def test_developing_keeps_order_and_stays_within_the_picture() -> None:
    tones = develop(np.linspace(0, 20, 500, dtype=np.float32), 0.15)
    assert tones[0] == 0
    assert tones.max() <= 1
    assert (np.diff(tones) >= 0).all()
