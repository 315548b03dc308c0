"""Sketch to product: the network's contract, what a palette is, and its recipe on little data."""

import pytest
import torch
from PIL import Image

from engine.evaluate import pairs
from engine.models import edges
from engine.models.features import Features
from engine.models.sketch import ANY, PALETTE_DIM, Sketch, from_state_dict, palette
from engine.settings import ROOT
from engine.showcase.drawings import DRAWINGS, drawing, make
from engine.train import data, packshots
from engine.train.loop import train
from engine.train.recipes import sketch as recipe

CATEGORIES = ("mug", "lamp", ANY)


@pytest.fixture
def network() -> Sketch:
    torch.manual_seed(0)
    made = Sketch(CATEGORIES, widths=(8, 12, 16, 16, 16), seen=6, size_px=64).eval()
    made.fit_palettes(torch.rand(40, PALETTE_DIM), torch.arange(40) % 3)
    return made


def lines(n: int, size_px: int = 64) -> torch.Tensor:
    return (torch.rand(n, 1, size_px, size_px, generator=torch.Generator().manual_seed(1)) > 0.9).float()


def product(rgb: tuple[float, float, float], accent: tuple[float, float, float] | None = None) -> torch.Tensor:
    """A block of one colour on white (1, 3, 64, 64); the accent takes its lower quarter."""
    x = torch.ones(1, 3, 64, 64)
    x[..., 12:52, 12:52] = torch.tensor(rgb).view(3, 1, 1)
    if accent:
        x[..., 42:52, 12:52] = torch.tensor(accent).view(3, 1, 1)
    return x


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size_px", [64, 96])
def test_the_network_gives_pictures_in_range(network: Sketch, count: int, size_px: int) -> None:
    with torch.no_grad():
        y = network(lines(count, size_px), torch.rand(count, PALETTE_DIM), torch.zeros(count, dtype=torch.long))
    assert y.shape == (count, 3, size_px, size_px)
    assert 0 <= y.min() <= y.max() <= 1


def test_a_picture_does_not_depend_on_its_batch(network: Sketch) -> None:
    x, latents, labels = lines(3), torch.rand(3, PALETTE_DIM), torch.tensor([0, 1, 2])
    with torch.no_grad():
        together = network(x, latents, labels)
        alone = torch.cat([network(x[i : i + 1], latents[i : i + 1], labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_lines_palette_and_category_each_change_the_picture(network: Sketch) -> None:
    x, latents, labels = lines(2), torch.rand(2, PALETTE_DIM), torch.tensor([0, 1])
    with torch.no_grad():
        plain = network(x[:1], latents[:1], labels[:1])
        for other in (
            (x[1:], latents[:1], labels[:1]),
            (x[:1], latents[1:], labels[:1]),
            (x[:1], latents[:1], labels[1:]),
        ):
            assert (network(*other) - plain).abs().max() > 1e-4


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_and_a_full_map_give_finite_pictures(network: Sketch, value: float) -> None:
    with torch.no_grad():
        y = network(torch.full((1, 1, 64, 64), value), torch.rand(1, PALETTE_DIM), torch.tensor([2]))
    assert bool(y.isfinite().all())


def test_the_network_is_built_again_from_its_weights_alone(network: Sketch) -> None:
    again = from_state_dict(
        {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    ).eval()
    assert (again.categories, again.size_px, again.latent_dim, again.widths) == (
        CATEGORIES,
        64,
        PALETTE_DIM,
        network.widths,
    )
    x, latents, labels = lines(1), torch.rand(1, PALETTE_DIM), torch.tensor([1])
    with torch.no_grad():
        torch.testing.assert_close(again(x, latents, labels), network(x, latents, labels), atol=5e-3, rtol=0)
    with pytest.raises(RuntimeError, match="middle"):
        from_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("middle")})


def test_the_i_th_palette_depends_on_the_seed_and_on_i(network: Sketch) -> None:
    two, five = (network.sample_latents("mug", count, 1.0, torch.Generator().manual_seed(3)) for count in (2, 5))
    assert five.shape == (5, PALETTE_DIM)
    assert torch.equal(two, five[:2])
    assert not torch.equal(two, network.sample_latents("mug", 2, 1.0, torch.Generator().manual_seed(4)))
    with pytest.raises(ValueError, match="tuple"):
        network.sample_latents("boat", 1, 1.0, torch.Generator())


def test_without_truncation_there_is_only_the_most_typical_palette(network: Sketch) -> None:
    latents = network.sample_latents("lamp", 4, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(latents, network.palettes[1, :1].expand(4, -1))


def test_a_category_draws_from_its_own_palettes_and_any_from_all() -> None:
    made = Sketch(("dark", "light", ANY), widths=(8, 8, 8), seen=8)
    own = torch.cat([torch.full((20, PALETTE_DIM), 0.1), torch.full((20, PALETTE_DIM), 0.9)]) + 0.01 * torch.rand(
        40, PALETTE_DIM
    )
    made.fit_palettes(own, torch.arange(40) // 20)
    assert made.palettes[0].max() < 0.2
    assert made.palettes[1].min() > 0.8
    assert made.palettes[2].min() < 0.2 < 0.8 < made.palettes[2].max()


def test_the_palettes_that_are_kept_first_are_typical_and_already_differ() -> None:
    """Forty blacks, twenty reds and a single green: black comes first, red second, and green is not forgotten."""
    black, red, green = (torch.tensor(rgb + rgb + [0.5]) for rgb in ([0.1, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]))
    own = torch.cat([black.expand(40, -1), red.expand(20, -1), green[None]]) + 0.01 * torch.rand(61, PALETTE_DIM)
    made = Sketch(("mug", ANY), widths=(8, 8, 8), seen=4)
    made.fit_palettes(own, torch.zeros(61, dtype=torch.long))
    for kept, wanted in zip(made.palettes[0], (black, red, green), strict=False):
        torch.testing.assert_close(kept, wanted, atol=0.02, rtol=0)


def test_a_mixture_goes_from_one_palette_to_the_other(network: Sketch) -> None:
    a, b = torch.rand(2, 3, PALETTE_DIM)
    assert torch.equal(network.mix(a, b, 0.0), a)
    torch.testing.assert_close(network.mix(a, b, 1.0), b)
    torch.testing.assert_close(network.mix(a, b, 0.5), (a + b) / 2)


def test_an_asked_colour_is_the_main_one_and_only_a_like_accent_moves_along(network: Sketch) -> None:
    alike, apart = torch.tensor([0.2, 0.2, 0.2, 0.3, 0.2, 0.2, 0.7]), torch.tensor([0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.7])
    asked = network.with_colour(torch.stack([alike, apart]), torch.tensor([0.8, 0.1, 0.1]))
    torch.testing.assert_close(asked[:, :3], torch.tensor([[0.8, 0.1, 0.1]]).expand(2, 3))
    assert asked[0, 3] > 0.7
    torch.testing.assert_close(asked[1, 3:], apart[3:])


def test_the_palette_of_a_plain_product_is_its_colour() -> None:
    found = palette(product((0.7, 0.2, 0.1)))[0]
    torch.testing.assert_close(found[:3], torch.tensor([0.7, 0.2, 0.1]), atol=0.01, rtol=0)


def test_the_palette_of_two_colours_is_both_and_the_share_of_the_larger() -> None:
    found = palette(product((0.1, 0.2, 0.6), (0.9, 0.8, 0.1)))[0]
    torch.testing.assert_close(found, torch.tensor([0.1, 0.2, 0.6, 0.9, 0.8, 0.1, 0.75]), atol=0.03, rtol=0)


def test_the_palette_of_nothing_is_white() -> None:
    torch.testing.assert_close(palette(torch.ones(2, 3, 32, 32)), torch.ones(2, PALETTE_DIM))


def test_a_product_of_its_palette_s_colour_has_no_colour_distance() -> None:
    x = product((0.1, 0.2, 0.6), (0.9, 0.8, 0.1))
    assert recipe._colour_distance(x, palette(x), recipe.palette_weight(x)) < 1e-5
    assert recipe._colour_distance(1 - x, palette(x), recipe.palette_weight(x)) > 0.1


def test_dye_leaves_white_alone_and_colours_the_rest() -> None:
    x = product((0.5, 0.5, 0.5))
    dyed = recipe.tinted(x, torch.Generator().manual_seed(0), chance=1.0)
    assert torch.equal(dyed[..., :8, :], x[..., :8, :])
    assert dyed[0, :, 30, 30].std() > 0.02
    assert torch.equal(recipe.tinted(x, torch.Generator().manual_seed(0), chance=0.0), x)


def tiny(**settings: int) -> recipe.SketchRecipe:
    torch.manual_seed(0)
    pictures = torch.cat([product((0.1 + 0.04 * i, 0.5, 0.9 - 0.04 * i)) for i in range(12)]).mul(255).byte()
    return recipe.SketchRecipe(
        Features(), pictures, torch.arange(12) % 3, pictures[:2], CATEGORIES, batch=4, **{"steps": 4} | settings
    )


def test_going_on_from_a_checkpoint_equals_never_having_stopped(tmp_path) -> None:
    for folder, stops in (("whole", (None,)), ("parts", (2, None))):
        for stop in stops:
            list(train(tiny(), tmp_path / folder, log_every=1, sample_every=100, save_every=100, stop_at=stop))
    ours, theirs = ((tmp_path / folder / "sketch.safetensors").read_bytes() for folder in ("whole", "parts"))
    headless = [
        blob[8 + int.from_bytes(blob[:8], "little") :] for blob in (ours, theirs)
    ]  # the header holds the seconds
    assert headless[0] == headless[1]
    assert (tmp_path / "whole" / "samples" / "0000004.png").exists()


def test_the_last_steps_are_on_whole_pictures_and_the_first_mostly_on_half() -> None:
    made = tiny(steps=1000)
    sizes = [made._size_px(made.rng(step), step) for step in range(1000)]
    assert set(sizes) == {32, 48, 64}
    assert set(sizes[800:]) == {64}
    assert sizes[:200].count(32) > 100


def test_categories_must_end_with_any() -> None:
    with pytest.raises(ValueError, match="any"):
        recipe.SketchRecipe(
            Features(),
            torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
            torch.zeros(1).long(),
            torch.zeros(1, 3, 64, 64),
            ("mug",),
            steps=1,
        )


def test_pictures_without_a_category_are_learnt_as_any_and_the_held_out_are_not(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(30):
        Image.new("RGB", (40, 30), (i, 90, 90)).save(tmp_path / "photos" / f"p{i}.png")
    (tmp_path / "table.csv").write_text("file,category\np1.png,mug\np2.png,boat\n")
    folder, table, cache = tmp_path / "photos", tmp_path / "table.csv", tmp_path / "cache"
    shown, held_out = (
        packshots.read_products([folder], table, cache, size_px=32, held_out=out) for out in (False, True)
    )
    kept = [i for i in sorted(range(30), key=lambda i: f"p{i}.png") if not data.is_held_out(f"p{i}.png")]
    assert shown.pictures.shape == (len(kept), 3, 32, 32)
    assert recipe.labelled(shown, CATEGORIES).tolist() == [0 if i == 1 else 2 for i in kept]
    assert len(held_out.names) == 30 - len(kept)


def test_lines_of_a_photo_are_what_the_recipe_shows() -> None:
    sheet = tiny().sample()
    assert sheet.shape == (14, 3, 64, 64)
    x = product((0.1, 0.5, 0.9)).mul(255).byte().float().div(255)
    torch.testing.assert_close(sheet[2], 1 - edges.from_photo(x)[0].expand(3, -1, -1))


def known() -> pairs.Pairs:
    """Blocks of four sizes, in two colours, of two categories."""
    blocks = []
    for i in range(8):
        x = torch.ones(3, 64, 64)
        x[:, 8 + 4 * (i // 2) : 56, 12:52] = torch.tensor([0.7, 0.1, 0.1] if i % 2 else [0.1, 0.1, 0.6])[:, None, None]
        blocks.append(x)
    return pairs.Pairs.of(torch.stack(blocks).mul(255).round().byte(), torch.arange(8) % 2)


def test_the_nearest_picture_of_one_that_is_known_is_itself() -> None:
    assert torch.equal(pairs.nearest(known(), known()), known().pictures)


def test_the_mean_of_a_category_is_of_that_category_alone() -> None:
    means = pairs.mean_of_category(known(), known())
    assert torch.equal(means[0], means[2])
    torch.testing.assert_close(means[1], known().pictures[1::2].mean(0))


def test_errors_are_in_steps_of_eight_bits_and_in_decibels() -> None:
    truth = known().pictures * 0.5
    error, decibel = pairs.errors(truth + 10 / 255, truth)
    assert error == pytest.approx(10, abs=0.01)
    assert decibel == pytest.approx(28.13, abs=0.02)
    assert pairs.errors(truth, truth)[0] == 0


def test_pairs_are_redrawn_in_any_batch_and_a_colour_is_asked_of_all(network: Sketch) -> None:
    whole = pairs.redrawn(network, known())
    assert whole.shape == (8, 3, 64, 64)
    assert 0 <= pairs.colour_error(network, known(), torch.tensor([0.5, 0.5, 0.5])) < 100


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_the_same_every_time_and_has_lines(name: str) -> None:
    page = drawing(name, size_px=128, pen_px=2)
    assert page.tobytes() == drawing(name, size_px=128, pen_px=2).tobytes()
    assert page.tobytes() != drawing(name, size_px=128, pen_px=2, seed=1).tobytes()
    pixels = (
        torch.frombuffer(bytearray(page.tobytes()), dtype=torch.uint8)
        .view(1, 1, 128, 128)
        .float()
        .expand(-1, 3, -1, -1)
        / 255
    )
    lines = edges.from_drawing(pixels, 64)[0, 0]
    assert 0.02 < float((lines > 0.5).float().mean()) < 0.3


def test_the_page_s_drawings_are_those_that_are_drawn_here(tmp_path) -> None:
    for file in make(tmp_path):
        with Image.open(file) as ours, Image.open(ROOT / "gradio_ui" / "examples" / file.name) as shipped:
            assert ours.tobytes() == shipped.tobytes()
