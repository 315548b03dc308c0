"""Recipes: what they learn from, that a stop changes nothing, and that their parts do what they say."""

import copy
import csv
import io
import json
import math
import os
import tarfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import P3_COLOURANTS, rgb_profile
from PIL import Image
from pretend import trains_there_as_here
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from shelf import Plain

from engine import image
from engine.contract.errors import RequestError
from engine.models import generator, restore, unet
from engine.models.deblur import Deblur, Estimator
from engine.models.features import Features
from engine.models.generator import Autoencoder
from engine.models.sketch import ANY
from engine.models.unet import UNet
from engine.models.upscale import Upscale
from engine.train import augment, data, degrade, loop, metrics, search
from engine.train.__main__ import NAMES, main, presets_of
from engine.train.degrade import shrink
from engine.train.options import FILE as OPTIONS
from engine.train.packshots import SQUASHED, Packshots, frame, recolour
from engine.train.recipes import gan, vae
from engine.train.recipes.categories import CategoriesRecipe, called, vary
from engine.train.recipes.crisp import CrispRecipe
from engine.train.recipes.deblur import DeblurRecipe
from engine.train.recipes.faststyle import FastStyleRecipe
from engine.train.recipes.features import FeaturesRecipe, WhitenedConv
from engine.train.recipes.inpaint import InpaintRecipe
from engine.train.recipes.kernel import KernelRecipe
from engine.train.recipes.matte import CutOuts, MatteRecipe
from engine.train.recipes.restore import EXPERTS, ExpertRecipe, GateRecipe, RestoreRecipe
from engine.train.recipes.sketch import SketchRecipe
from engine.train.recipes.tone import ToneRecipe
from engine.train.recipes.upscale import UpscaleRecipe
from engine.train.recipes.vae import VaeRecipe
from engine.train.revive import revive, revived, silent
from engine.weights import int8


def picture(i, width=80, height=64):
    """A product of sorts: a coloured block on white, with a gradient inside."""
    rng = np.random.default_rng(i)
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[12:-12, 12:-12] = rng.integers(0, 200, 3) + np.linspace(0, 50, width - 24, dtype=np.int64)[None, :, None]
    pixels[20:30, 20:50] = rng.integers(0, 255, (10, 30, 3))
    return Image.fromarray(pixels)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        picture(i).save(folder / f"p{i}.png")
    return data.pack([folder], tmp_path / "cache", "all", lambda p: p)


def small(recipe):
    """A step on little data: four pictures of 32 px."""
    return {"steps": 6, "batch": 4, "crop_px": 32} | recipe


TINY = (16, 16, 8, 8)


def packshots():
    """Twenty squares of 64 px of two categories."""
    pictures = torch.randint(0, 255, (20, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Packshots(pictures, torch.arange(20) % 2, ("mug", "lamp"))


def fitted():
    """An autoencoder that has learned nothing, with the mixture of its codes."""
    torch.manual_seed(0)
    network = Autoencoder(("mug", "lamp"), widths=TINY, encoder_widths=(8, 8)).eval()
    vae.fit(network, network.encoder, packshots())
    return network


def blocks(count=24):
    """Products of two categories on white, 64 px: broad blocks and tall ones."""
    pictures = torch.full((count, 3, 64, 64), 255, dtype=torch.uint8)
    for i in range(count):
        rows, columns = (slice(28, 36), slice(8, 56)) if i % 2 else (slice(8, 56), slice(28, 36))
        pictures[i, :, rows, columns] = 10 * i % 200
    return Packshots(pictures, torch.arange(count) % 2, ("mug", "lamp"))


def squares():
    """Two opaque squares, cut out."""
    return CutOuts(torch.full((2, 4, 48, 48), 200, dtype=torch.uint8), ["one", "two"])


RECIPES = {
    "features": lambda p, **more: FeaturesRecipe(Features(), p, **small({}), **more),
    "restore": lambda p, **more: RestoreRecipe(p, **small({}), **more),
    "restore-noise": lambda p, **more: ExpertRecipe(p, "noise", None, **small({}), **more),
    "restore-jpeg": lambda p, **more: ExpertRecipe(p, "jpeg", None, **small({}), **more),
    "restore-gate": lambda p, **more: GateRecipe(
        p, [UNet((8, 8, 8)).state_dict(), UNet((8, 8, 8), deepest=1).state_dict()], **small({"seen": 20}), **more
    ),
    "upscale-x4": lambda p, **more: UpscaleRecipe(p, scale=4, **small({}), **more),
    "upscale-x4-rich": lambda p, **more: UpscaleRecipe(p, scale=4, rich=True, **small({}), **more),
    "upscale-x4-crisp": lambda p, **more: CrispRecipe(Features(), p, None, **small({}), **more),
    "faststyle": lambda p, **more: FastStyleRecipe(
        Features(),
        lambda photo, _: photo.flip(2),
        p,
        p,
        style_px=32,
        taught=0.7,
        adversarial=0.5,
        closer=0,
        **small({}),
        **more,
    ),
    "deblur": lambda p, **more: DeblurRecipe(
        Estimator(8, 8, 8), p, steps=6, batch=2, crop_px=32, seen_px=40, network=UNet((8, 8, 8), pictures=3), **more
    ),
    "kernel": lambda p, **more: KernelRecipe(p, steps=6, batch=2, crop_px=40, **more),
    "tone": lambda p, **more: ToneRecipe(p, steps=6, batch=4, **more),
    "matte": lambda p, **more: MatteRecipe(squares(), squares(), p, steps=6, batch=3, size_px=32, **more),
    "inpaint": lambda p, **more: InpaintRecipe(Features(), p, steps=6, batch=2, crop_px=32, **more),
    "vae": lambda p, **more: VaeRecipe(
        Features(), packshots(), steps=6, batch=4, widths=TINY, encoder_widths=(8, 8), **more
    ),
    "studio": lambda p, **more: gan.GanRecipe(Features(), packshots(), fitted(), steps=6, batch=4, **more),
    "categories": lambda p, **more: CategoriesRecipe(
        Features((4, 4, 4, 4, 4)), blocks(), blocks(), steps=6, batch=8, **more
    ),
}


def sketched(_):
    shots = packshots()
    sizes = {"steps": 2, "batch": 3, "large_share": 0.5, "alone_share": 0.5}
    return SketchRecipe(Features(), shots.pictures, shots.labels, shots.pictures[:2], ("mug", "lamp", ANY), **sizes)


def run(recipe, folder, **how):
    return list(loop.train(recipe, folder, log_every=1, sample_every=100, save_every=100, **how))


@pytest.mark.parametrize("name", RECIPES)
def test_going_on_from_a_checkpoint_equals_never_having_stopped(name, pictures, tmp_path):
    torch.manual_seed(1)
    whole = RECIPES[name](pictures)
    torch.manual_seed(1)
    first = RECIPES[name](pictures)
    torch.manual_seed(1)
    second = RECIPES[name](pictures)
    rows = run(whole, tmp_path / "whole")
    run(first, tmp_path / "parts", stop_at=4)
    run(second, tmp_path / "parts")
    ours, theirs = (load_file(tmp_path / part / f"{whole.name}.safetensors") for part in ("whole", "parts"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    logged = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged] == [row["step"] for row in rows]
    assert (tmp_path / "whole" / "samples" / "0000006.png").exists()
    assert (tmp_path / "whole" / "loss.png").exists()


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")
@pytest.mark.parametrize("name", [*RECIPES, "sketch"])
def test_a_recipe_trains_on_a_gpu_as_on_the_cpu(name, pictures, tmp_path, monkeypatch):
    def make():
        torch.manual_seed(1)
        return (RECIPES | {"sketch": sketched})[name](pictures)

    stops = (1, 2) if name in ("restore", "studio") else (2,)  # gone on with as well
    trains_there_as_here(make, tmp_path, monkeypatch, stops)


def test_closing_a_training_saves_where_it_is(pictures, tmp_path):
    rows = loop.train(RECIPES["restore"](pictures), tmp_path / "run", log_every=2, sample_every=100, save_every=100)
    assert next(rows)["step"] == 2
    rows.close()
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 2


def test_a_name_for_two_parts_is_refused_before_a_checkpoint_loses_one():
    recipe = loop.Recipe()
    recipe.name, part = "twice", torch.nn.Linear(1, 1)
    recipe.modules, recipe.optimizers = {"critic": part}, {"critic": torch.optim.SGD(part.parameters())}
    with pytest.raises(ValueError, match="both called critic"):
        recipe.state()


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    class Bad(loop.Recipe):
        name, steps = "bad", 3

        def step(self, step):
            return {"loss": float("nan")}

    with pytest.raises(FloatingPointError, match="step 0"):
        list(loop.train(Bad(), tmp_path))


def test_held_out_pictures_are_about_one_in_twelve_and_never_trained_on(pictures):
    assert 0.06 < np.mean([data.is_held_out(f"{i}.jpg") for i in range(5000)]) < 0.11
    assert data.is_held_out("a/b/7.jpg") == data.is_held_out("7.jpg")
    recipe = RECIPES["restore"](pictures)
    assert recipe.held_out
    assert not any(data.is_held_out(pictures.names[i]) for i in recipe.indices)


def test_an_expert_begins_as_the_network_of_both(pictures):
    torch.manual_seed(0)
    both = UNet(slope=0.1).eval()
    recipe = ExpertRecipe(pictures, "noise", both.state_dict(), steps=6, crop_px=32)
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(recipe.network(x), both(x))


def test_the_expert_for_jpeg_is_judged_by_luma_most(pictures):
    recipe = ExpertRecipe(pictures, "jpeg", None, **small({}))
    grey, colour = torch.full((1, 3, 4, 4), 0.1), torch.tensor([0.114, 0.0, -0.299]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert float(recipe._power(grey)) == pytest.approx(1.25 * 0.1**2)
    assert float(recipe._power(colour)) == pytest.approx(0.25 * (0.114**2 + 0.299**2) / 3)


def test_the_gate_learns_which_expert_leaves_less(pictures, tmp_path):
    recipe = GateRecipe(pictures, [UNet((8, 8, 8)).state_dict()] * 2, **small({"steps": 30, "seen": 40}))
    recipe.whole.experts = torch.nn.ModuleList([Plain(lambda x: x + 0.2), Plain(lambda x: x)])
    rows = run(recipe, tmp_path / "run")
    assert rows[-1]["dB lost"] == 0
    assert restore.best(recipe.whole.gate, torch.rand(1, 3, 64, 64)) == 1


def test_crops_are_made_smaller_as_far_as_the_picture_allows():
    ramp = torch.arange(64, dtype=torch.uint8).mul(3).expand(3, 64, 64)
    slopes = {}
    for closest in (1.0, 1.6):
        crops = data.random_crops([ramp], [0], 40, 32, np.random.default_rng(0), closest)
        assert crops.shape == (40, 3, 32, 32)
        slopes[closest] = crops[:, 0].flatten(1).std(1) * 255
    assert float(slopes[1.0].max() / slopes[1.0].min()) == pytest.approx(1, abs=0.01)
    assert 1.4 < float(slopes[1.6].max() / slopes[1.6].min()) < 1.65
    assert data.random_crops([ramp[:, :32, :40]], [0], 8, 32, np.random.default_rng(0), 1.6).shape == (8, 3, 32, 32)


def test_a_tar_and_a_folder_pack_to_the_same_pixels(tmp_path, pictures):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for i in range(30):
            stream = io.BytesIO()
            picture(i).save(stream, "PNG")
            info = tarfile.TarInfo(f"p{i}.png")
            info.size = stream.tell()
            stream.seek(0)
            tar.addfile(info, stream)
    packed = data.pack([tmp_path / "all.tar"], tmp_path / "cache", "all", lambda p: p)
    assert packed.names == pictures.names
    assert all(torch.equal(a, b) for a, b in zip(packed, pictures, strict=True))


def test_a_whitened_convolution_is_the_plain_one_it_folds_to():
    torch.manual_seed(0)
    x = torch.rand(2, 3, 12, 12)
    layer = WhitenedConv(x, 5, scale=2.0)
    torch.nn.init.normal_(layer.u)
    torch.nn.init.normal_(layer.c)
    weight, bias = layer.folded()
    plain = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain)


def test_features_learn_their_teacher(pictures, tmp_path):
    recipe = FeaturesRecipe(Features((4, 4, 4, 4, 4)), pictures, steps=150, batch=8, crop_px=32, peak=3e-2)
    rows = run(recipe, tmp_path / "run")
    assert rows[-1]["conv1"] < 0.2 * rows[0]["conv1"]


def test_white_noise_has_the_sigma_that_was_asked_for():
    noisy = degrade.gaussian_noise(torch.full((1, 3, 256, 256), 0.5), 25, np.random.default_rng(0))
    assert 255 * float((noisy - 0.5).std()) == pytest.approx(25, rel=0.01)


def test_disturbed_pictures_stay_in_shape_and_most_are_disturbed():
    clean = torch.rand(24, 3, 32, 32)
    disturbed = degrade.random_disturbance(clean, np.random.default_rng(1))
    assert disturbed.shape == clean.shape
    assert all((a - b).abs().max() > 0.01 for a, b in zip(disturbed, clean, strict=True))


def test_shrinking_keeps_a_constant_and_lands_on_whole_grey_levels():
    small = shrink(torch.full((1, 3, 16, 16), 0.31), 4)
    assert torch.equal(small, torch.full((1, 3, 4, 4), round(0.31 * 255) / 255))


def test_the_classifier_learns_to_tell_two_shapes(tmp_path):
    torch.manual_seed(0)
    recipe = CategoriesRecipe(Features((4, 4, 4, 4, 4)), blocks(), blocks(), steps=40, batch=32, peak=2e-2)
    list(loop.train(recipe, tmp_path / "run", log_every=10))
    packshots = blocks()
    assert (called(recipe.average.module, packshots.pictures.float() / 255) == packshots.labels).float().mean() > 0.9


def test_varied_pictures_stay_in_range_and_depend_on_the_seed_alone():
    x = blocks(8).pictures.float() / 255
    one, two, other = (vary(x, np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.amin() >= 0
    assert one.amax() <= 1


def test_turning_hues_keeps_luma_and_grey():
    rng = np.random.default_rng(0)
    x = 0.3 + 0.2 * torch.rand(16, 3, 8, 8)
    x[:, :, :4] = x[:, :1, :4]
    turned = recolour(x, rng, chance=1.0)
    luma = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(
        torch.einsum("c,nchw->nhw", luma, turned), torch.einsum("c,nchw->nhw", luma, x), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(turned[:, :, :4], x[:, :, :4], atol=1e-5, rtol=0)
    assert (turned - x).abs().max() > 0.02


def test_what_half_the_size_learned_is_taken_over():
    torch.manual_seed(0)
    half = Autoencoder(("mug", "lamp"), widths=(16, 16, 8), encoder_widths=(8, 8)).eval()
    whole = Autoencoder(("mug", "lamp"), widths=TINY, encoder_widths=(8, 8)).eval()
    vae.grow(whole, half.state_dict())
    x = torch.rand(2, 3, half.size_px, half.size_px)
    torch.testing.assert_close(whole.encoder(x.repeat_interleave(2, 2).repeat_interleave(2, 3))[0], half.encoder(x)[0])
    assert torch.equal(whole.blocks[0].first.weight, half.blocks[0].first.weight)


def test_the_encoder_s_view_keeps_white_and_shapes_but_not_the_hue():
    x = torch.ones(64, 3, 8, 8)
    x[:, 0, 2:6, 2:6] = 0.2
    seen = vae.another_view(x, np.random.default_rng(0))
    torch.testing.assert_close(seen[:, :, 0], x[:, :, 0])
    hues = (seen[:, :, 3, 3] - seen[:, :, 3, 3].amin(1, keepdim=True)).argmax(1)
    assert len(hues.unique()) == 3


def test_the_studio_s_discriminator_sees_nothing_that_was_not_augmented(pictures, monkeypatch):
    """Where augmenting makes one grey of everything, real and drawn pictures look alike to it."""
    made, seen = RECIPES["studio"](pictures), []
    monkeypatch.setattr(gan, "augment", lambda x, rng, **varied: 0 * x + 0.125)
    made.heads.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made.step(0)
    assert len(seen) >= 2
    with torch.no_grad():
        for maps in seen:
            for ours, grey in zip(maps, made.features(torch.full((1, 3, 64, 64), 0.125)), strict=True):
                torch.testing.assert_close(ours.detach(), grey.expand_as(ours), atol=1e-5, rtol=1e-4)


def test_augmenting_is_a_function_of_its_seed():
    x = torch.rand(4, 3, 16, 16)
    one, two, other = (augment.augment(x, np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_picture_is_turned_and_scaled_about_its_middle_on_white():
    x = torch.ones(1, 3, 33, 33)
    x[:, :, 12:21, 4:29] = 0.2  # a bar of 25 x 9
    quarter, half, double = (
        augment.turned(x, torch.tensor([a]), torch.tensor([s]))
        for a, s in ((math.pi / 2, 1.0), (math.pi, 1.0), (0.0, 2.0))
    )
    torch.testing.assert_close(quarter, x.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    torch.testing.assert_close(half, x, atol=1e-5, rtol=0)
    assert [float((1 - y).sum() / (1 - x).sum()) for y in (quarter, half)] == pytest.approx([1, 1], abs=1e-4)
    assert float((1 - double)[0, 0, :, 16].sum() / (1 - x)[0, 0, :, 16].sum()) == pytest.approx(2, abs=0.05)
    assert float(augment.turned(x, torch.tensor([0.4]), torch.tensor([0.5]))[..., :4, :].min()) == 1
    left = torch.ones(1, 3, 33, 33)
    left[..., 16, 2] = 0  # what is on the left is below after a quarter turn counterclockwise
    assert float(augment.turned(left, torch.tensor([math.pi / 2]), torch.ones(1))[0, 0, 30, 16]) < 0.1


def test_turning_and_scaling_have_a_slope_and_leave_half_of_the_pictures():
    x = (0.2 + 0.6 * torch.rand(32, 3, 16, 16)).requires_grad_(True)
    angles, sizes = torch.full((32,), 0.1), torch.full((32,), 1.1)
    augment.turned(x, angles, sizes).sum().backward()
    assert float(x.grad[:, :, 6:10, 6:10].mean()) == pytest.approx(1.21, rel=0.1)  # a pixel is seen on so many
    rng = np.random.default_rng(0)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "turned", lambda x, angles, sizes: seen.append((angles, sizes)) or x)
        augment.augment(x, rng, turn_deg=8.0, scale=0.1)
    ((angles, sizes),) = seen
    assert ((angles == 0) == (sizes == 1)).all()
    assert 4 < int((angles == 0).sum()) < 28
    assert float(angles.abs().max()) <= math.radians(8)
    assert 1 / 1.1 - 1e-6 <= float(sizes.min()) < 1 < float(sizes.max()) <= 1.1 + 1e-6


def test_a_product_is_framed_with_its_margin():
    packshot = Image.new("RGB", (64, 48), "white")
    packshot.paste((10, 20, 30), (20, 12, 44, 18))  # 24 x 6, so 24 x 8 once the squash is undone
    framed = np.asarray(frame(64, stretch=SQUASHED)(packshot))
    dark = np.argwhere(framed[..., 0] < 128)
    assert dark[:, 1].min() == pytest.approx(64 * 0.06 / 1.12, abs=1.5)
    assert np.ptp(dark[:, 1]) / np.ptp(dark[:, 0]) == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["restore"], "with --data"),
        (["restore", "--data", "no/such/folder"], "There is no no/such/folder."),
        (["restore", "--preset", "x", "--data", "."], "has the presets"),
        (["features", "--data", "."], "--teacher"),
        (["gan", "--data", "."], "--categories"),
        (["categories", "--data", "."], "--categories"),
        (["restore", "--data", ".", "--most-norm", "1"], "Unrecognized arguments: --most-norm 1"),
        (["tone", "--data", ".", "--device", "gpu9"], "There is no device 'gpu9'"),
        (["restroe"], "invalid choice"),
        (["restore", "--data", ".", "--steps", "0"], "--steps must be a number above 0, not 0."),
        (["faststyle", "--data", "."], "--artworks"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_recipe_runs_from_the_command_line_and_goes_on(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        picture(i, 400, 420).save(folder / f"{i}.jpg")
    command = ["upscale", "--preset", "x4", "--data", str(folder), "--runs", str(tmp_path / "runs"), "--steps", "2"]
    assert main([*command, "--stop-at", "1"]) == 0
    assert main(command) == 0
    state = load_file(tmp_path / "runs" / "upscale-x4" / "upscale-x4.safetensors")
    assert state["tail.weight"].dtype == torch.float16
    assert torch.load(tmp_path / "runs" / "upscale-x4" / "checkpoint.pt", weights_only=True)["step"] == 2


def test_upscale_goes_on_from_what_the_rich_network_folds_into(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        picture(i, 400, 420).save(folder / f"{i}.jpg")
    common = ["--data", str(folder), "--runs", str(tmp_path / "runs"), "--steps", "1"]
    assert main(["upscale", "--preset", "x4-rich", *common]) == 0
    assert main(["upscale", "--preset", "x4", *common]) == 0
    rich, plain = (
        torch.load(tmp_path / "runs" / name / "checkpoint.pt", weights_only=True)["state"]["average"]
        for name in ("upscale-x4-rich", "upscale-x4")
    )
    network = Upscale(4, rich=True)
    network.load_state_dict(rich)
    for name, weight in network.folded().items():  # one step at the start of a warm-up changes next to nothing
        torch.testing.assert_close(plain[name], weight, atol=1e-4, rtol=1e-3)


def test_restore_is_put_together_from_its_experts(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        picture(i, 400, 420).save(folder / f"{i}.jpg")
    common = ["--data", str(folder), "--runs", str(tmp_path / "runs"), "--steps", "1"]
    for preset, sentence in (
        ("gate", "run `python -m engine.train restore --preset white-noise` first"),
        ("strong-jpeg", "--preset both` first"),
    ):
        assert main(["restore", "--preset", preset, *common]) == 2
        assert sentence in capsys.readouterr().err
    for preset in (
        "both",
        "any-noise",
        "white-noise",
        "strong-white-noise",
        "noise",
        "strong-noise",
        "strong-jpeg",
        "jpeg",
        "gate",
    ):
        small = ["--batch", "2", "--crop-px", "32", *(["--seen", "12"] if preset == "gate" else [])]
        assert main(["restore", "--preset", preset, *common, *small]) == 0
    file = tmp_path / "runs" / "restore" / "restore.safetensors"
    assert file.stat().st_size < len(EXPERTS) * 2.05e6, "most weights take a byte"
    network = restore.from_state_dict(int8.unpack(load_file(file)))
    assert network.gate.unbounded.tolist() == [kind in ("white-noise", "strong-white-noise") for kind in EXPERTS]
    experts = [
        torch.load(tmp_path / "runs" / f"restore-{kind}" / "checkpoint.pt", weights_only=True)["state"]["average"]
        for kind in EXPERTS
    ]
    for expert, state in zip(network.experts, experts, strict=True):
        x, whole = torch.rand(1, 3, 32, 32), unet.from_state_dict(state)
        with torch.no_grad():
            torch.testing.assert_close(expert(x), whole(x), atol=2 / 255, rtol=0)


def some_lost(pictures):
    """A network of which the middle's first block has lost all its hidden channels, and the block at half size two."""
    torch.manual_seed(0)
    network = UNet((8, 8, 8), (1, 1, 2, 1, 1))
    with torch.no_grad():
        network.middle[0].first.bias.fill_(-100)
        network.up1[0].first.bias[:2] = -100
        network.tail.weight.normal_()
    lost = {name: int(gone.sum()) for name, gone in silent(network, pictures).items()}
    assert (lost["middle.0"], lost["up1.0"]) == (8, 2)
    return network


def test_what_a_network_has_lost_begins_anew_and_changes_nothing_at_first():
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    old = some_lost(pictures)
    new = revived(old, UNet((8, 8, 8), (1, 1, 2, 1, 2), slope=0.1), pictures)
    with torch.no_grad():
        torch.testing.assert_close(new(pictures), old(pictures), atol=1e-4, rtol=1e-4)
    lost = {name: int(gone.sum()) for name, gone in silent(new, pictures).items()}
    assert lost["middle.0"] == silent(old, pictures)["middle.1"].sum() == 0, "the block that was of use comes first"
    assert lost["up1.0"] == 0
    slopes = {name: float(slope) for name, slope in new.state_dict().items() if name.endswith("slope")}
    assert slopes.keys() == {"middle.1.slope", "up1.1.slope"}, "blocks that were kept are as they were"
    before = {name: weight.clone() for name, weight in new.named_parameters()}
    for _ in range(2):  # what adds nothing learns second
        (new(pictures) - 0.5).square().mean().backward()
        with torch.no_grad():
            for weight in new.parameters():
                weight -= 0.1 * weight.grad
                weight.grad = None
    for name in ("middle.1.first.weight", "up1.1.first.weight", "up1.0.first.weight"):
        moved = (dict(new.named_parameters())[name] - before[name]).flatten(1).abs().amax(1)
        assert bool((moved > 0).all()), name


def test_what_any_network_has_lost_begins_anew_in_its_place():
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    network = some_lost(pictures)
    with torch.no_grad():
        before = network(pictures)
        lost = {name: bool(gone.all()) for name, gone in silent(network, pictures).items()}
        revive(network, pictures)
        torch.testing.assert_close(network(pictures), before, atol=1e-4, rtol=1e-4)
    assert not any(gone.any() for gone in silent(network, pictures).values())
    leaking = {name.removesuffix(".slope") for name in network.state_dict() if name.endswith("slope")}
    assert leaking == {name for name, whole in lost.items() if whole}, "blocks that said something are as they were"


def test_a_network_that_ships_is_gone_on_from_with_what_it_lost_begun_anew(tmp_path, capsys):
    folder, shipped = tmp_path / "pictures", tmp_path / "deblur.safetensors"
    folder.mkdir()
    for i in range(20):
        picture(i, 300, 320).save(folder / f"{i}.jpg")
    estimator = Estimator()
    with torch.no_grad():
        estimator.middle[1].first.bias.fill_(-100)
    before = Deblur(estimator, UNet((8, 8, 8), pictures=3)).state_dict()
    loop.save_weights(before, shipped)
    common = ["deblur", "--data", str(folder), "--runs", str(tmp_path / "runs"), "--steps", "1"]
    assert main([*common, "--start", str(tmp_path / "none.safetensors")]) == 2
    assert "There is no" in capsys.readouterr().err
    repair, kernel = ["--batch", "2", "--crop-px", "32", "--seen-px", "48"], ["--batch", "2", "--crop-px", "48"]
    assert main([*common, *repair, "--start", str(shipped)]) == 0
    made = int8.unpack(load_file(tmp_path / "runs" / "deblur" / "deblur.safetensors"))
    assert made["repair.head.weight"].shape == before["repair.head.weight"].shape
    torch.testing.assert_close(
        made["estimator.draw.weight"].float(), before["estimator.draw.weight"], atol=2e-3, rtol=0
    )
    assert main([*common, *kernel, "--preset", "kernel", "--start", str(shipped)]) == 0
    made = load_file(tmp_path / "runs" / "kernel" / "kernel.safetensors")
    assert {key for key in made if key.endswith("slope")} == {"middle.1.slope"}
    assert main([*common, *repair, "--start", str(shipped), "--steps", "2"]) == 0, (
        "the repair goes on, with the estimator of the run"
    )


def test_a_network_with_a_slope_loses_nothing():
    network, x = UNet((8, 8, 8), slope=0.1), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        network.middle[0].first.bias.fill_(-100)
        network.to_block.weight.normal_()
    network(x).square().mean().backward()
    assert float(network.middle[0].first.weight.grad.abs().sum()) > 0
    assert not any(gone.any() for gone in silent(network, x).values())


def test_an_expert_of_restore_sees_further_pictures_one_time_in_four(tmp_path):
    for name, light in (("own", 40), ("further", 200)):
        (tmp_path / name).mkdir()
        for i in range(20):
            Image.new("RGB", (140, 140), (light, light, light)).save(tmp_path / name / f"{name}{i}.png")
    own, further = (data.pack([tmp_path / name], tmp_path, name, lambda x: x) for name in ("own", "further"))
    recipe = ExpertRecipe(own, "white-noise", None, steps=1, batch=1, crop_px=32, further=further)
    _, clean = recipe._pair(recipe.indices, 200, np.random.default_rng(0))
    lights = clean.mean((1, 2, 3)) * 255
    assert 30 < int((lights > 100).sum()) < 70
    _, shown = recipe._pair(recipe.held_out, 20, np.random.default_rng(0))
    assert float(shown.max()) * 255 < 100, "samples are of the pictures themselves"


def test_larger_pictures_are_drawn_more_often(tmp_path):
    for i, side in enumerate((40, 80, 160)):
        Image.new("RGB", (side, 80)).save(tmp_path / f"{i}.png")
    pictures = data.pack([tmp_path], tmp_path / "cache", "sizes", lambda x: x)
    learn, _ = pictures.split(40)
    counts = {i: pictures.by_size(40).count(i) for i in range(3)}
    assert counts == {i: (2, 4, 8)[i] if i in learn else 0 for i in range(3)}
    assert min(pictures.by_size(60)) > 0, "what is smaller than a crop is left out"


def test_weights_are_written_whole_or_not_at_all(tmp_path):
    loop.save_weights({"a": torch.ones(2)}, tmp_path / "w.safetensors", seed="3")
    assert load_file(tmp_path / "w.safetensors")["a"].dtype == torch.float16
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(AttributeError):
        loop.save_weights({"a": None}, tmp_path / "w.safetensors")
    assert load_file(tmp_path / "w.safetensors")["a"].tolist() == [0]


@pytest.fixture
def shop(tmp_path):
    """Thirty products on white with a csv that calls every second a shoe, and a belt."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for i in range(30):
        picture(i, 160, 140 + i).save(folder / f"{i:02d}.png")
    table = tmp_path / "shop.csv"
    table.write_text(
        "file,category\n"
        + "".join(f"{i:02d}.png,{'shoe' if i % 2 else 'belt'}\n" for i in range(30))
        + "other.png,mug\n"
    )
    return folder, table


def test_every_recipe_of_a_generator_takes_a_folder_of_one_s_own(shop, tmp_path, capsys, monkeypatch):
    folder, table = shop
    own = ["--data", str(folder), "--categories", str(table), "--runs", str(tmp_path / "runs"), "--steps", "1"]
    picture(3, 160, 143).save(folder / "03-again.jpg")
    monkeypatch.setattr(metrics.MeasuredRecipe, "measured", 8)
    rows = presets_of("vae")
    assert isinstance(rows, dict)
    small = replace(rows["128"].options, steps=1, batch=2, widths=(8, 8, 8, 8, 8), encoder_widths=(8, 8))
    monkeypatch.setitem(rows, "128", replace(rows["128"], options=small))
    for command, name in ((["vae"], "vae"), (["gan"], "studio"), (["sketch"], "sketch")):
        assert main([*command, *own]) == 0
        run = tmp_path / "runs" / name
        assert {"left_out.csv", "metrics.png", f"{name}.safetensors", f"{name}.best.safetensors"} <= {
            file.name for file in run.iterdir()
        }
        (logged,) = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
        assert logged["kernel_distance"] > 0
        assert logged["diversity"] > 0
    assert "pictures are learned from" in capsys.readouterr().err
    assert generator.from_state_dict(load_file(tmp_path / "runs" / "studio" / "studio.safetensors")).categories == (
        "shoe",
        "belt",
    )
    ours, theirs = (load_file(tmp_path / "runs" / name / f"{name}.safetensors") for name in ("vae", "studio"))
    assert torch.equal(ours["means"], theirs["means"]), "codes mean the same to both"
    assert search.main(own) == 2
    assert "needs at least 256" in capsys.readouterr().err
    table.write_text("file,category\n00.png,mug\n")
    assert main(["vae", *own]) == 2
    assert "none of the pictures a category of these: shoe" in capsys.readouterr().err


def test_a_table_is_read_as_spreadsheets_write_it_and_another_is_one_sentence(tmp_path):
    (tmp_path / "ok.csv").write_text("file,category\n1.jpg, shoe\n2.jpg,\n3.jpg\n", encoding="utf-8-sig")
    assert data.read_categories(tmp_path / "ok.csv") == {"1.jpg": "shoe"}
    (tmp_path / "other.csv").write_text("name;kind\n1.jpg;shoe\n")
    with pytest.raises(RequestError, match=r"other\.csv must be a csv in UTF-8 with the columns file and category"):
        data.read_categories(tmp_path / "other.csv")


def test_hidden_files_are_no_pictures_and_a_file_is_no_source(tmp_path):
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"of a Mac")
    assert [name for name, _ in data.read_pictures(tmp_path)] == ["a.png"]
    with pytest.raises(RequestError, match="neither a folder nor a tar"):
        list(data.read_pictures(tmp_path / "a.png"))


def test_photos_of_a_phone_are_pictures(tmp_path):
    from pillow_heif import from_pillow

    from_pillow(picture(0)).save(tmp_path / "a.heic")
    ((name, read),) = data.read_pictures(tmp_path)
    assert (name, read.size, read.mode) == ("a.heic", (80, 64), "RGB")


def test_two_trainings_that_pack_the_same_pictures_at_once_both_get_them(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / "in" / f"{i}.png")
    cache, others = tmp_path / "cache", []

    def prepare(photo):
        if not others:
            others.append(None)
            others[0] = data.pack([tmp_path / "in"], cache, "all", lambda p: p)
        assert len(list(cache.glob("*.json"))) == 1, "what the other has written stays in use"
        return photo

    ours = data.pack([tmp_path / "in"], cache, "all", prepare)
    assert [int(p.max()) for p in ours] == [int(p.max()) for p in others[0]] == [0, 1, 2]
    assert sorted(p.suffix for p in cache.iterdir()) == [".json", ".u8"]


def test_a_picture_that_changes_in_a_folder_of_the_folder_is_packed_anew(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for shade in (10, 200):
        Image.new("L", (4, 4), shade).save(tmp_path / "in" / "deep" / "a.png")
        os.utime(tmp_path / "in" / "deep" / "a.png", ns=(shade, shade))
        assert int(data.pack([tmp_path / "in"], tmp_path / "cache", "all", lambda p: p)[0].max()) == shade


def test_what_ships_of_an_autoencoder_can_be_drawn_from_at_any_time():
    recipe = RECIPES["vae"](None)
    for step in range(2):
        recipe.step(step)
        shipped = recipe.export()
        vae.fit(expected := copy.deepcopy(recipe.average.module), recipe.average.module.encoder, packshots())
        assert torch.equal(shipped["means"], expected.means)
        assert not torch.equal(shipped["means"], recipe.average.module.means)


def few_pictures(folder: Path) -> Path:
    folder.mkdir()
    for i in range(20):
        picture(i, 400, 420).save(folder / f"{i}.jpg")
    return folder


def test_a_search_without_a_budget_is_one_sentence(capsys):
    assert search.main(["--data", ".", "--budget", "nan"]) == 2
    assert "--budget must be a number above 0, not nan." in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_recipe_shows_its_own_options_with_the_preset_s_values(name, capsys):
    for row, preset in presets_of(name).items():
        with pytest.raises(SystemExit):
            main([name, "--preset", row, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        for f in fields(preset.options):
            assert f"--{f.name.replace('_', '-')}" in shown
        assert f"optimisation steps; {preset.options.steps} unless given" in shown
        assert preset.reached.split(",")[0] in shown


def test_a_run_writes_down_what_it_was_told_and_carries_it_in_its_weights(tmp_path):
    pictures, runs = few_pictures(tmp_path / "pictures"), tmp_path / "runs"
    assert main(["tone", "--data", str(pictures), "--runs", str(runs), "--steps", "1", "--batch", "3"]) == 0
    told = json.loads((runs / "tone" / OPTIONS).read_text())
    assert (told["recipe"], told["preset"], told["options"]["batch"]) == ("tone", "default", 3)
    assert told["options"]["peak"] == 1e-3
    assert told["versions"]["torch"] == torch.__version__
    assert len(told["data"]) == 16
    assert str(tmp_path) not in json.dumps(told), "folders of a machine are its own business"
    with safe_open(runs / "tone" / "tone.safetensors", framework="pt") as opened:
        assert json.loads(opened.metadata()["options"]) == told


def test_a_run_is_gone_on_with_only_as_it_was_begun(tmp_path, capsys):
    pictures, runs = few_pictures(tmp_path / "pictures"), tmp_path / "runs"
    command = ["tone", "--data", str(pictures), "--runs", str(runs), "--steps", "3", "--batch", "2"]
    assert main([*command, "--stop-at", "1"]) == 0
    before = (runs / "tone" / "checkpoint.pt").read_bytes()
    assert main([*command, "--seed", "4", "--peak", "0.1"]) == 2
    said = capsys.readouterr().err
    assert "seed was 0 and is 4" in said
    assert "peak was 0.001 and is 0.1" in said
    assert (runs / "tone" / "checkpoint.pt").read_bytes() == before
    picture(30, 400, 420).save(pictures / "30.jpg")
    assert main(command) == 2
    assert "the data are others" in capsys.readouterr().err
    (pictures / "30.jpg").unlink()
    assert main([*command, "--threads", "1"]) == 0


def test_the_log_is_a_table_as_well(tmp_path):
    rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "kernel_distance": 3.0, "worries": ["none"]}]
    loop.write_csv(rows, tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert read == [
        {"step": "1", "loss": "0.5", "kernel_distance": ""},
        {"step": "2", "loss": "0.25", "kernel_distance": "3.0"},
    ]


def test_a_step_in_bf16_is_near_the_step_in_float32(tmp_path):
    pictures = few_pictures(tmp_path / "pictures")
    made = []
    for precision in ("fp32", "bf16"):
        runs = tmp_path / precision
        common = ["--data", str(pictures), "--runs", str(runs), "--cache", str(tmp_path / "cache"), "--steps", "2"]
        assert main(["upscale", *common, "--batch", "2", "--precision", precision]) == 0
        made.append(load_file(runs / "upscale-x4" / "upscale-x4.safetensors"))
    assert any(not torch.equal(made[0][key], made[1][key]) for key in made[0])
    for key, weight in made[0].items():
        torch.testing.assert_close(weight, made[1][key], atol=5e-3, rtol=0.05)


@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if name not in ("features", "faststyle", "paint", "gan", "matte", "matte_lite", "deblur")],
)
def test_the_command_s_seed_reaches_the_recipe(name, tmp_path, monkeypatch):
    """The same seed gives the same weights after a step, another seed other weights."""
    pictures = few_pictures(tmp_path / "pictures")
    table = tmp_path / "table.csv"
    table.write_text("file,category\n" + "".join(f"{i}.jpg,{'shoe' if i % 2 else 'belt'}\n" for i in range(20)))
    monkeypatch.setattr(metrics.MeasuredRecipe, "measured", 8)
    preset = {"restore": ["--preset", "both"], "vae": ["--widths", "8", "8", "8", "8", "8"]}.get(name, [])
    needs = ["--categories", str(table)] if name in ("vae", "sketch", "categories") else []
    made = []
    for go, seed in enumerate((1, 1, 2)):
        runs = tmp_path / f"runs{go}"
        common = ["--data", str(pictures), "--runs", str(runs), "--cache", str(tmp_path / "cache")]
        batch = ["--batch", "4"]
        assert main([name, *preset, *common, *needs, *batch, "--steps", "1", "--seed", str(seed)]) == 0
        (checkpoint,) = runs.glob("*/checkpoint.pt")
        made.append(torch.load(checkpoint, weights_only=True)["state"])
    assert_states_equal(made[0], made[1])
    assert not all(torch.equal(a, b) for a, b in zip(tensors_of(made[0]), tensors_of(made[2]), strict=True))


@pytest.mark.parametrize("name", RECIPES)
def test_chance_is_the_seed_s_alone(name, pictures):
    """After a step the same seed gives the same weights, another seed others, whatever torch drew before."""
    states = []
    for drawn, seed in ((1, 1), (1, 1), (1, 2)):
        torch.manual_seed(drawn)  # what a recipe is given, such as an untrained network, is the same in all three
        made = RECIPES[name](pictures, seed=seed)
        made.step(0)
        states.append({key: module.state_dict() for key, module in made.modules.items()})
    assert_states_equal(states[0], states[1])
    assert not all(torch.equal(a, b) for a, b in zip(tensors_of(states[0]), tensors_of(states[2]), strict=True))


def tensors_of(state: object) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


def assert_states_equal(one: object, two: object) -> None:
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(one), tensors_of(two), strict=True))


def test_pictures_to_learn_from_are_in_srgb_whatever_their_profile_says(tmp_path):
    """A red of Display P3 that sRGB can show, as a phone writes it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    red = Image.new("RGB", (40, 40), (180, 90, 80))
    red.save(folder / "p3.png", icc_profile=rgb_profile(P3_COLOURANTS))
    expected = image.load(folder / "p3.png").pixels[0, :, 20, 20]
    (_, read), *_ = data.read_pictures(folder)
    assert torch.tensor(read.getpixel((20, 20))) / 255 == pytest.approx(expected, abs=1 / 255)
    assert read.getpixel((20, 20))[0] > 185, "as it is written it would be paler"
    with tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        tar.add(folder / "p3.png", "p3.png")
    (_, packed), *_ = data.read_pictures(tmp_path / "pictures.tar")
    assert packed.getpixel((20, 20)) == read.getpixel((20, 20))
