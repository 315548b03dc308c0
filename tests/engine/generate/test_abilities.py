"""Generate, beyond new pictures: variations, walks, photos, sketches, colours, backgrounds, directions,
the best first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawers import SIDE, Colourist, Drawer, Painter, Photographer, Printer, Sorter, Tailor, blueness, drawers, redness
from PIL import Image, ImageDraw
from shelf import Shelf, finish, row
from torch import Tensor

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.generate import CATEGORIES, GenerateRequest
from engine.contract.recipe import from_recipe
from engine.generate.classifier import CategoryClassifier
from engine.generate.generate import generate
from engine.generate.latents import CANDIDATES
from engine.models import dcgan, generator, sketch
from engine.runtime.device import Device
from engine.settings import Settings
from engine.weights import Network


def run(weights: Shelf, **asked: Any) -> Result:
    return finish(generate(GenerateRequest(**{"scale": 1, "count": 3} | asked), weights, Device(), Settings()))  # type: ignore[arg-type]


def refusal(weights: Shelf, **asked: Any) -> str:
    with pytest.raises(RequestError) as caught:
        run(weights, **asked)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def pixels(result: Result) -> Tensor:
    return torch.cat([picture.pixels for picture in result.pictures])


def colours(result: Result) -> Tensor:
    """The colour in the middle of each picture, (N, 3)."""
    return pixels(result)[:, :, SIDE // 2, SIDE // 2]


def write_product(file: Path, colour: str, ground: str = "white", side: int = 80) -> str:
    """A photo of a box of a colour, not in the middle."""
    picture = Image.new("RGB", (side, side), ground)
    ImageDraw.Draw(picture).rectangle((side // 8, side // 4, side // 2, side // 2), fill=colour)
    picture.save(file)
    return str(file)


# Variations and walks


def test_a_variation_is_as_far_from_the_picture_as_it_was_asked() -> None:
    weights = drawers(studio=Drawer())
    third = colours(run(weights))[2].logit()
    apart = [(colours(run(weights, like=3, distance=d)).logit() - third).norm(dim=1) for d in (0.0, 0.1, 0.5)]
    assert torch.allclose(apart[0], torch.zeros(3), atol=1e-4)
    assert torch.allclose(apart[2], 5 * apart[1], rtol=1e-2)
    assert bool((apart[1] > 0.01).all())


def test_variations_keep_the_seed_and_differ_from_each_other_and_from_those_of_another_picture() -> None:
    weights = drawers(studio=Drawer())
    first, again, of_another = (pixels(run(weights, like=like)) for like in (2, 2, 3))
    assert torch.equal(first, again)
    assert len({tuple(p.flatten().tolist()) for p in torch.cat([first, of_another])}) == 6


def test_more_variations_are_added_to_the_end() -> None:
    weights = drawers(studio=Drawer())
    assert torch.equal(pixels(run(weights, like=2, count=7))[:3], pixels(run(weights, like=2, count=3)))


def test_a_picture_that_was_not_drawn_can_be_varied_too() -> None:
    """Number 30 of a seed is the same picture, however many are asked for."""
    weights = drawers(studio=Drawer())
    thirtieth = pixels(run(weights, count=30))[29:]
    assert torch.equal(pixels(run(weights, like=30, distance=0.0, count=1)), thirtieth)


def test_a_walk_begins_at_one_picture_and_ends_at_the_other_in_equal_steps() -> None:
    weights = drawers(studio=Drawer())
    drawn, walk = pixels(run(weights)), run(weights, like=1, walk_to=3, count=5)
    assert torch.allclose(pixels(walk)[[0, 4]], drawn[[0, 2]], atol=1e-6)
    latents = colours(walk).logit()
    assert torch.allclose(latents.diff(dim=0), latents.diff(dim=0)[:1].expand(4, 3), atol=1e-4)
    assert [picture.name for picture in walk.pictures][::4] == ["shoe-0-walk-1-3-01", "shoe-0-walk-1-3-05"]


def test_a_walk_is_not_sorted() -> None:
    weights = drawers(studio=Drawer())
    sorted_, plain = (run(weights, like=1, walk_to=3, count=5, order=order) for order in ("best", "drawn"))
    assert torch.equal(pixels(sorted_), pixels(plain))
    assert "A walk stays in its own order." in sorted_.notes.remarks


# Colours and backgrounds


def test_a_network_that_knows_colours_is_told_the_colour() -> None:
    result = run(drawers(studio=Painter()), colour="#cc3322")
    assert torch.allclose(colours(result), torch.tensor([0xCC, 0x33, 0x22]) / 255, atol=0.002)
    assert not result.notes.remarks


def test_the_pictures_of_a_network_that_knows_none_are_recoloured_with_a_note() -> None:
    plain, red = (run(drawers(studio=Drawer()), colour=colour, scale=4) for colour in ("", "#cc2222"))
    middle = 4 * SIDE // 2
    before, after = (pixels(result)[:, :, middle, middle] for result in (plain, red))
    assert bool((after[:, 0] - after[:, 1] > 0.2).all())
    assert not torch.allclose(before, after, atol=0.1)
    assert torch.allclose(pixels(red)[:, :, 0, 0], torch.ones(3, 3))
    assert red.notes.remarks == ("studio does not know colours, so its pictures were recoloured.",)


def test_a_transparent_background_leaves_the_product_alone() -> None:
    plain, cut = (run(drawers(studio=Drawer()), background=ground, scale=4) for ground in ("white", "transparent"))
    for before, after in zip(plain.pictures, cut.pictures, strict=True):
        assert before.alpha is None
        assert after.alpha is not None
        product = before.pixels.amin(1, keepdim=True) < 0.9
        assert float(after.alpha[product].min()) > 0.9
        assert float(after.alpha[~product].max()) < 0.1
        assert torch.allclose(after.on_white(), before.pixels, atol=0.1)


def test_a_background_colour_is_where_the_white_was() -> None:
    (picture,) = run(drawers(studio=Drawer()), background="#204060", count=1, scale=4).pictures
    assert picture.alpha is None
    assert torch.allclose(picture.pixels[0, :, 2, 2], torch.tensor([0x20, 0x40, 0x60]) / 255, atol=1e-3)


# The best first


def test_the_best_come_first_and_keep_the_number_that_they_were_drawn_with() -> None:
    weights = drawers(studio=Drawer())
    drawn, best = (run(weights, order=order, count=6) for order in ("drawn", "best"))
    reds, blues = (place(colour(pixels(drawn))) for colour in (redness, blueness))
    assert reds.tolist() != blues.tolist()
    order = (reds + blues).argsort(stable=True)
    assert [int(p.name[-2:]) - 1 for p in best.pictures] == order.tolist()
    assert torch.equal(pixels(best), pixels(drawn)[order])
    said = (
        "Best first, by how surely categories calls it shoe and by how whole the discriminator of studio finds it,"
        " which count alike."
    )
    assert best.notes.remarks == (said,)
    assert best.recipe["order"] == "best"


def place(scores: Tensor) -> Tensor:
    return scores.argsort(descending=True).argsort()


@pytest.mark.parametrize(
    ("missing", "left", "said"),
    [
        ("sorter", blueness, "how whole the discriminator of studio finds it"),
        ("critic", redness, "how surely categories calls it shoe"),
    ],
)
def test_where_one_of_both_is_missing_the_other_ranks_alone_with_a_note(missing: str, left: Any, said: str) -> None:
    drawn, best = (
        run(drawers(studio=Drawer(), **{missing: False}), order=order, count=6) for order in ("drawn", "best")
    )
    assert torch.equal(pixels(best), pixels(drawn)[left(pixels(drawn)).argsort(descending=True)])
    assert drawn.notes.fallbacks == ()
    assert best.notes.remarks == (f"Best first, by {said}.",)
    assert "could not be loaded" in best.notes.fallbacks[0]
    assert best.notes.fallbacks[0].endswith("so it took no part in ranking the pictures.")


def test_without_both_the_order_is_that_of_drawing_with_a_note() -> None:
    drawn, best = (
        run(drawers(studio=Drawer(), sorter=False, critic=False), order=order) for order in ("drawn", "best")
    )
    assert torch.equal(pixels(drawn), pixels(best))
    assert best.notes.remarks == (
        "No network can rank these pictures, so they are in the order in which they were drawn.",
    )


def test_products_that_no_network_has_learned_from_stay_in_the_order_of_drawing() -> None:
    weights = drawers(studio=Drawer(("watch",)))
    best = run(weights, category="watch", order="best")
    assert [picture.name[-2:] for picture in best.pictures] == ["01", "02", "03"]
    assert [sentence.partition(",")[0] for sentence in best.notes.fallbacks] == [
        "categories does not know watch",
        "discriminator does not know watch",
    ]


def test_ranking_costs_nothing_where_it_is_not_asked_for() -> None:
    for asked in ({"order": "drawn"}, {"order": "best", "like": 1, "walk_to": 2}, {"order": "best", "count": 1}):
        weights = drawers(studio=Drawer())
        run(weights, **asked)
        assert "discriminator" not in weights.asked


def test_a_picture_counts_as_much_as_its_mirror_image() -> None:
    classifier = CategoryClassifier(Network(row("categories", "classify"), Sorter()))
    lopsided = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(classifier.rate(lopsided, "shoe")[0], classifier.rate(lopsided.flip(3), "shoe")[0])


# Networks without categories


def test_a_network_without_categories_draws_until_the_classifier_is_content() -> None:
    weights = drawers(dcgan=Drawer(()))
    shoes, bags = (run(weights, category=category, count=6) for category in ("shoe", "handbag"))
    assert bool((redness(pixels(shoes)) > 0).all())
    assert bool((redness(pixels(bags)) < 0).all())
    assert len({tuple(p.flatten().tolist()) for p in pixels(shoes)}) == 6
    assert shoes.notes.remarks == (
        "dcgan knows no categories, so of up to 40 candidates one was taken that categories calls shoe.",
    )
    assert torch.equal(pixels(run(weights, category="shoe", count=3)), pixels(shoes)[:3])
    assert torch.equal(pixels(run(weights, like=2, distance=0.0, count=1)), pixels(shoes)[1:2])


def test_when_no_candidate_is_of_the_category_the_nearest_is_taken_and_said() -> None:
    class Green(Drawer):
        drawn = 0

        def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
            self.drawn += count
            return torch.stack(
                [torch.tensor([-1.0, 1.0, 0.0]) + 0.1 * torch.randn(3, generator=rng) for _ in range(count)]
            )

    network = Green(())
    result = run(drawers(dcgan=network), count=2)
    assert network.drawn == 2 * CANDIDATES
    assert result.notes.remarks[0].endswith("calls shoe; of 2 none was, and the nearest was taken.")


def test_without_the_classifier_such_a_network_draws_anything_with_a_note() -> None:
    result = run(drawers(dcgan=Drawer(()), sorter=False))
    assert len(result.pictures) == 3
    assert result.notes.fallbacks[0].endswith("so the pictures may be of any category.")


# Directions


def test_a_direction_is_followed_as_far_as_asked() -> None:
    weights = drawers(studio=Tailor())
    plain, redder = (colours(run(weights, directions=steps)).logit() for steps in ((), (1.5,)))
    assert torch.allclose(redder - plain, torch.tensor([[1.5, 0.0, 0.0]]).expand(3, 3), atol=1e-3)


def test_more_directions_than_there_are_is_one_sentence() -> None:
    assert (
        refusal(drawers(studio=Tailor()), directions=(0, 0, 1))
        == "The network studio has 2 directions for shoe, not 3: redder, bluer."
    )


def test_directions_that_are_all_zero_ask_nothing() -> None:
    weights = drawers(studio=Drawer())
    assert torch.equal(pixels(run(weights, directions=(0, 0, 0))), pixels(run(weights)))


# Photos


def test_a_photo_is_drawn_again_first_and_then_varied(tmp_path: Path) -> None:
    weights = drawers(studio=Drawer(), vae=Photographer())
    photo = write_product(tmp_path / "box.png", "#cc4433")
    result = run(weights, photo=photo)
    assert result.notes.networks == ("vae",)
    assert torch.allclose(colours(result)[0], torch.tensor([0xCC, 0x44, 0x33]) / 255, atol=0.01)
    apart = (colours(result).logit() - colours(result)[0].logit()).norm(dim=1)
    assert bool((apart[1:] > 0.05).all())
    assert "photo" not in result.recipe
    assert torch.allclose(pixels(run(weights, photo=photo, distance=0.0))[2], pixels(result)[0])


def test_a_photo_is_encoded_by_one_network_and_drawn_by_another(tmp_path: Path) -> None:
    photo = write_product(tmp_path / "box.png", "#cc4433")
    weights = drawers(studio=Printer(), vae=Photographer())
    result = run(weights, photo=photo)
    assert result.notes.networks == ("studio", "vae")
    assert torch.allclose(colours(result)[0], torch.tensor([0x33, 0x44, 0xCC]) / 255, atol=0.01)
    assert run(weights, photo=photo, network="vae").notes.networks == ("vae",)
    alone = run(drawers(studio=Printer(), other=Photographer(), vae=None), photo=photo)
    assert alone.notes.networks == ("other",)
    assert "vae could not be loaded" in alone.notes.fallbacks[0]
    assert refusal(
        drawers(dcgan=Drawer(), studio=Printer(), vae=Photographer()), photo=photo, network="dcgan"
    ).endswith("; studio and vae can.")


def test_a_walk_may_begin_at_a_photo(tmp_path: Path) -> None:
    weights = drawers(vae=Photographer())
    photo = write_product(tmp_path / "box.png", "#cc4433")
    walk = run(weights, photo=photo, walk_to=2, count=4)
    assert torch.allclose(pixels(walk)[0], pixels(run(weights, photo=photo))[0])
    assert torch.allclose(pixels(walk)[3], pixels(run(weights))[1], atol=1e-6)


def test_a_photo_of_another_category_than_asked_is_taken_for_what_it_is(tmp_path: Path) -> None:
    photo = write_product(tmp_path / "box.png", "#22cc33")
    result = run(drawers(vae=Photographer()), photo=photo)
    assert result.notes.remarks == ("The photo was taken for another category than shoe: handbag.",)
    assert result.recipe["category"] == "handbag"


def test_a_photo_without_a_plain_background_is_taken_whole_with_a_note(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    result = run(drawers(vae=Photographer()), photo=str(tmp_path / "noise.png"))
    assert "The product could not be told from its background, so the whole photo was used." in result.notes.remarks


@pytest.mark.parametrize("side", [1, 3])
def test_a_photo_of_three_pixels_gives_pictures(tmp_path: Path, side: int) -> None:
    Image.new("RGB", (side, side), "#884422").save(tmp_path / "tiny.png")
    assert len(run(drawers(vae=Photographer()), photo=str(tmp_path / "tiny.png")).pictures) == 3


# Sketches


def write_sketch(file: Path, ink: str = "black", paper: str = "white") -> str:
    picture = Image.new("RGB", (100, 100), paper)
    ImageDraw.Draw(picture).rectangle((20, 30, 80, 70), outline=ink, width=3)
    picture.save(file)
    return str(file)


def test_a_sketch_becomes_products_in_several_colours(tmp_path: Path) -> None:
    result = run(
        drawers(studio=Drawer(), sketch=Colourist()), sketch=write_sketch(tmp_path / "sketch.png"), category="handbag"
    )
    assert result.notes.networks == ("sketch",)
    assert len({tuple(c.tolist()) for c in colours(result)}) == 3
    assert torch.allclose(pixels(result)[:, :, 0, 0], torch.ones(3, 3))


def test_a_sketch_may_be_of_any_category(tmp_path: Path) -> None:
    drawing, network = (
        write_sketch(tmp_path / "sketch.png"),
        sketch.Sketch((*CATEGORIES, "any"), (4, 8), seen=3, size_px=32),
    )
    result = run(drawers(studio=Drawer(), sketch=network), sketch=drawing, category="any", order="best", count=2)
    assert sorted(picture.name for picture in result.pictures) == ["any-0-01", "any-0-02"]
    assert result.notes.fallbacks == ()
    assert result.notes.remarks == ("Best first, by how whole the discriminator of studio finds it.",)
    assert from_recipe(result.recipe, sketch=drawing).category == "any"
    assert (
        refusal(drawers(studio=Drawer()), category="any")
        == "The network studio draws by category; choose one of shoe, handbag."
    )


def test_a_network_without_categories_draws_what_comes_where_any_is_asked() -> None:
    weights = drawers(studio=Drawer(), dcgan=Drawer(()))
    result = run(weights, category="any", count=6)
    assert (result.notes.networks, result.notes.remarks, result.notes.fallbacks) == (("dcgan",), (), ())
    assert len({tuple(c.tolist()) for c in colours(result)}) == 6
    assert 1 < sum(float(redness(p)) > 0 for p in pixels(result).split(1)) < 6


def test_the_edges_of_a_photo_may_be_the_sketch(tmp_path: Path) -> None:
    photo = write_product(tmp_path / "box.png", "#cc4433")
    result = run(drawers(sketch=Colourist()), sketch=photo, lines="photo")
    assert float(colours(result).max()) < 0.99


@pytest.mark.parametrize("paint", ["white", "black", "dot"])
def test_a_sketch_with_nothing_on_it_is_one_sentence(tmp_path: Path, paint: str) -> None:
    picture = Image.new("RGB", (300, 300), "white" if paint == "dot" else paint)
    if paint == "dot":
        picture.putpixel((100, 100), (0, 0, 0))
    picture.save(tmp_path / "sketch.png")
    expected = "There is next to nothing on the sketch; draw the outline of a product with dark lines on white."
    assert refusal(drawers(sketch=Colourist()), sketch=str(tmp_path / "sketch.png")) == expected


def test_the_networks_of_the_house_keep_the_protocol(tmp_path: Path) -> None:
    torch.manual_seed(0)
    widths = (8, 8, 8)
    weights = drawers(
        studio=generator.Generator(CATEGORIES, 8, widths),
        vae=generator.Autoencoder(CATEGORIES, 8, widths, encoder_widths=(4, 4)),
        dcgan=dcgan.DcganGenerator(2, 8),
        sketch=sketch.Sketch((*CATEGORIES, "any"), (4, 8), seen=3, size_px=32),
    )
    photo, drawing = write_product(tmp_path / "box.png", "#cc4433"), write_sketch(tmp_path / "sketch.png")
    asked: tuple[dict[str, Any], ...] = (
        {},
        {"like": 2},
        {"like": 1, "walk_to": 2},
        {"colour": "#3366aa", "background": "transparent"},
    )
    for more in (
        {"network": "studio"},
        {"network": "vae", "category": "tie"},
        {"network": "dcgan"},
        {"sketch": drawing},
    ):
        for settings in asked:
            result = run(weights, count=2, **settings, **more)
            assert bool(pixels(result).isfinite().all())
            assert not torch.equal(*(picture.pixels for picture in result.pictures))
    assert run(weights, count=2, photo=photo).notes.networks == ("vae",)


# Who can do what


@pytest.mark.parametrize("name", ["photo", "sketch"])
def test_a_text_is_no_photo_and_no_sketch(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("a red shoe")
    assert "notes.txt is a text" in refusal(
        drawers(vae=Photographer(), sketch=Colourist()), **{name: str(tmp_path / "notes.txt")}
    )
    assert "There is no file gone.png." in refusal(
        drawers(vae=Photographer(), sketch=Colourist()), **{name: "gone.png"}
    )


def test_a_network_that_cannot_do_what_is_asked_is_one_sentence_that_names_those_that_can(tmp_path: Path) -> None:
    weights = drawers(studio=Tailor(), dcgan=Drawer(()), vae=Photographer())
    photo = write_product(tmp_path / "box.png", "#cc4433")
    assert refusal(weights, network="dcgan", photo=photo) == "The network dcgan cannot take a photo; vae can."
    assert (
        refusal(weights, network="dcgan", directions=(1,))
        == "The network dcgan cannot be steered along directions; studio can."
    )
    assert refusal(drawers(dcgan=Drawer(())), network="dcgan", photo=photo) == "The network dcgan cannot take a photo."


def test_without_a_wish_the_network_is_one_that_can(tmp_path: Path) -> None:
    weights = drawers(studio=Drawer(("handbag",)), vae=Photographer(), wide=Tailor())
    assert run(weights, category="handbag").notes.networks == ("studio",)
    assert run(weights, category="shoe").notes.networks == ("vae",)
    assert run(weights, directions=(1,)).notes.networks == ("wide",)
    assert (
        refusal(drawers(studio=Drawer()), photo=write_product(tmp_path / "box.png", "red"))
        == "The network studio cannot take a photo."
    )


def test_a_network_that_is_missing_is_replaced_with_a_note_and_said_where_none_can() -> None:
    weights = drawers(dcgan=None, studio=Drawer())
    result = run(weights, network="dcgan")
    assert result.notes.networks == ("studio",)
    assert result.notes.fallbacks == (
        "dcgan could not be loaded because the Hub cannot be reached, so studio was used instead.",
    )
    assert "vae could not be loaded" in refusal(drawers(studio=Drawer(), vae=None), network="vae", directions=(1,))


def test_networks_of_the_hub_draw_only_when_they_are_asked() -> None:
    weights = Shelf((row("var", "generate", hub=True), Drawer()), (row("studio", "generate"), Drawer()))
    assert run(weights).notes.networks == ("studio",)
    assert run(weights, network="var").notes.networks == ("var",)
    assert run(weights, network="hub").notes.networks == ("var",)
