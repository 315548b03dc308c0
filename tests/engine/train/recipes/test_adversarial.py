"""Training GANs: that a stop changes nothing, that the best snapshot is shipped, what is left out and what is warned
of.
"""

import copy
import csv
import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from pretend import trains_there_as_here
from safetensors.torch import load_file

from engine.contract.errors import RequestError
from engine.models import dcgan
from engine.models.features import Features
from engine.train import cleaning, data, loop, metrics
from engine.train.__main__ import main
from engine.train.augment import augment
from engine.train.objectives import OBJECTIVES
from engine.train.packshots import read_products
from engine.train.recipes import adversarial
from engine.train.recipes.adversarial import AdversarialRecipe, Critic, initialise, with_own_statistics
from engine.train.sources import own_features
from engine.weights.int8 import unpack


def product(i, size=90):
    """A product of sorts on white: a shape of its own colour and place."""
    rng = np.random.default_rng(i)
    picture = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(picture)
    colour = tuple(int(v) for v in rng.integers(0, 180, 3))
    box = [int(v) for v in (*rng.integers(8, 30, 2), *rng.integers(50, 82, 2))]
    (draw.ellipse if i % 2 else draw.rectangle)(box, fill=colour)
    draw.line([int(v) for v in rng.integers(10, 80, 4)], fill=tuple(int(v) for v in rng.integers(0, 180, 3)), width=5)
    return picture


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(5)
    return Features((4, 4, 8, 8, 8)).requires_grad_(False)


@pytest.fixture(scope="module")
def pictures():
    return torch.stack([torch.from_numpy(np.asarray(product(i, 64)).copy()).permute(2, 0, 1) for i in range(24)])


def recipe(name, pictures, features, **settings):
    made = AdversarialRecipe(
        OBJECTIVES[name],
        pictures,
        features,
        **({"steps": 4, "batch": 4, "width": 4, "critic_width": 4, "critic_steps": 2} | settings),
    )
    made.sample_every, made.measured, made.statistics_batches = 2, 16, 1
    return made


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_gpu_comes_to_the_weights_of_the_cpu(name, pictures, features, tmp_path, monkeypatch):
    trains_there_as_here(lambda: recipe(name, pictures, copy.deepcopy(features)), tmp_path, monkeypatch)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_going_on_from_a_checkpoint_equals_never_having_stopped(name, pictures, features, tmp_path):
    def run(folder, **how):
        return list(loop.train(recipe(name, pictures, features), tmp_path / folder, log_every=1, save_every=100, **how))

    rows = run("whole")
    assert run("parts", stop_at=3) + run("parts") != []
    for file in (f"{name}.safetensors", f"{name}.best.safetensors"):
        ours, theirs = (load_file(tmp_path / part / file) for part in ("whole", "parts"))
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    logged = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [{k: v for k, v in row.items() if k not in ("seconds", "worries")} for row in logged] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in rows
    ]
    assert ["kernel_distance" in row for row in rows] == [False, True, False, True]
    assert (tmp_path / "whole" / "metrics.png").exists()
    dcgan.from_state_dict(unpack(load_file(tmp_path / "whole" / f"{name}.safetensors")))


def test_a_critic_learns_to_tell_pictures_from_noise(pictures, features):
    made = recipe("dcgan", pictures, features, batch=8, augmented=False)
    told = [made._teach_critic(torch.rand(8, 3, 64, 64), made.rng(step)) for step in range(36)]
    assert told[-1]["critic"] < 0.6 * told[0]["critic"]
    assert told[-1]["real_right"] == told[-1]["fake_right"] == 1


def test_pictures_of_a_small_set_are_also_shown_mirrored(pictures, features):
    def orientations(made):
        x = made._photos(np.random.default_rng(0))
        return {bool((y == pictures[0].float() / 255).all()) for y in x}

    made = recipe("dcgan", pictures[:1], features, batch=16)
    assert orientations(made) == {True, False}
    made.flipped = False
    assert orientations(made) == {True}


def test_pictures_of_a_small_set_are_also_turned_and_those_of_a_large_one_are_not(pictures, features):
    few, many = recipe("dcgan", pictures, features), recipe("dcgan", pictures[:1].expand(1000, -1, -1, -1), features)
    x = pictures.float() / 255
    same, other = (torch.equal(made._augmented(x, made.rng(0)), augment(x, made.rng(0))) for made in (many, few))
    assert same
    assert not other


def test_weights_start_and_stay_as_the_papers_say(pictures, features):
    torch.manual_seed(0)
    critic = Critic(16)
    initialise(critic)
    assert float(critic.body[2].weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    made = recipe("wgan", pictures, features)
    made.step(0)
    assert max(float(p.detach().abs().max()) for p in made.critic.parameters()) <= 0.01
    penalised = recipe("wgan-gp", pictures, features)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in penalised.critic.modules())


@pytest.mark.parametrize(("name", "steps"), [("dcgan", 1), ("wgan", 5), ("wgan-gp", 5)])
def test_the_critic_takes_as_many_steps_to_one_of_the_generator_as_its_paper_says(name, steps, pictures, features):
    made = recipe(name, pictures, features, critic_steps=None)
    seen, critic = [], made.critic.forward
    made.critic.forward = lambda x: seen.append(x.detach().clone()) or critic(x)
    first = next(made.generator.parameters()).detach().clone()
    made.step(0)
    taken = {
        name: {int(state["step"]) for state in optimizer.state.values()} for name, optimizer in made.optimizers.items()
    }
    assert taken == {"critic_optimizer": {steps}, "generator_optimizer": {1}}
    assert not torch.equal(next(made.generator.parameters()), first)
    assert len({tuple(x.flatten().tolist()) for x in seen}) == len(seen), "each step sees other pictures"


def test_the_average_draws_with_statistics_of_its_own():
    torch.manual_seed(0)
    average = dcgan.DcganGenerator(4, 12)
    average.body[1].running_mean.fill_(7.0)
    network = with_own_statistics(average, batches=8)
    z = torch.randn(512, 12)
    with torch.no_grad():
        seen = network.body[0](z[:, :, None, None])
    torch.testing.assert_close(network.body[1].running_mean, seen.mean((0, 2, 3)), atol=0.05, rtol=0)
    assert float(average.body[1].running_mean[0]) == 7.0
    assert torch.equal(network(z[:2]), with_own_statistics(average, batches=8)(z[:2]))


class Known(loop.Recipe):
    """Its weight is the step, its distance is told beforehand."""

    name, steps, sample_every = "known", 6, 2

    def __init__(self, distances):
        super().__init__()
        self.distances, self.modules = distances, {"weight": torch.nn.Linear(1, 1)}

    def step(self, step):
        torch.nn.init.constant_(self.modules["weight"].weight, step + 1)
        return {"loss": 1.0}

    def sample(self):
        return torch.rand(2, 3, 4, 4)

    def measure(self):
        return {"kernel_distance": self.distances[int(self.modules["weight"].weight)]}

    def worries(self, row):
        return ["it is too far."] if row["kernel_distance"] > 8 else []

    def export(self):
        return self.modules["weight"].state_dict()


def test_the_best_snapshot_is_shipped_and_worries_are_said(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "vitrine"):
        list(loop.train(Known({2: 9.0, 4: 3.0, 6: 5.0}), tmp_path, log_every=1))
    assert load_file(tmp_path / "known.safetensors")["weight"].item() == 4
    assert "of step 4, with a kernel distance of 3" in caplog.text
    assert "known, step 2: it is too far." in caplog.text
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged if "worries" in row] == [2]


def test_a_finished_training_stays_as_it_is(tmp_path):
    for _ in range(2):
        list(loop.train(Known({2: 9.0, 4: 3.0, 6: 5.0}), tmp_path))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6
    assert load_file(tmp_path / "known.safetensors")["weight"].item() == 4


@pytest.mark.parametrize(("most_norm", "moved"), [(0.0, [3.0, 4.0]), (1.0, [0.6, 0.8]), (9.0, [3.0, 4.0])])
def test_gradients_longer_than_asked_are_shortened_together(most_norm, moved):
    a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    optimizers = [torch.optim.SGD([p], lr=1.0) for p in (a, b)]
    for _ in range(2):  # gradients do not pile up
        loop.descend(-(3 * a + 4 * b).sum(), *optimizers, most_norm=most_norm)
    assert [a.item(), b.item()] == pytest.approx([2 * v for v in moved], rel=1e-5)


def test_metrics_know_real_pictures_from_one_repeated(pictures, features):
    measure = metrics.Metrics(features, pictures)
    x = pictures.float() / 255
    real, same = measure(x), measure(x[:1].expand(24, -1, -1, -1) + 0.001 * torch.rand(24, 3, 64, 64))
    assert real["diversity"] == pytest.approx(1, rel=1e-4)
    assert same["diversity"] < 0.2
    assert real["kernel_distance"] < same["kernel_distance"]


def test_a_collapse_and_a_saturated_discriminator_are_named():
    fine = {"diversity": 0.9, "real_right": 0.8, "fake_right": 0.99}
    assert metrics.worries(fine, saturates=True) == []
    (collapsed,) = metrics.worries(fine | {"diversity": 0.3}, saturates=True)
    assert "30 % as diverse" in collapsed
    (sure,) = metrics.worries(fine | {"real_right": 0.98}, saturates=True)
    assert "right about 98 %" in sure
    assert metrics.worries(fine | {"real_right": 0.98}, saturates=False) == []


@pytest.fixture
def folder(tmp_path):
    """Forty products; one saved again as JPEG, one flipped, one in another colour, one tiny, one in a room."""
    here = tmp_path / "own photos"
    here.mkdir()
    for i in range(40):
        product(i).save(here / f"{i:02d}.png")
    product(3).save(here / "a3-again.jpg", quality=60)
    product(5).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(here / "a5-flipped.png")
    other = np.asarray(product(7))[..., ::-1]
    Image.fromarray(np.ascontiguousarray(other)).save(here / "a7-other-colour.png")
    product(1, 90).resize((40, 40)).save(here / "tiny.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(here / "room.png")
    return here


def test_what_is_left_out_is_listed_with_its_reason(folder, tmp_path):
    packed = data.pack([folder], tmp_path / "cache", "all", lambda p: p.resize((64, 64)), cleaning.look)
    pixels = torch.stack(list(packed))
    kept, left = cleaning.clean(packed.names, packed.looks, pixels, own_features())
    assert {(row.name, row.why, row.like) for row in left} == {
        ("a3-again.jpg", "nearly the same as another", "03.png"),
        ("tiny.png", "smaller than 64 px", ""),
        ("room.png", "not on white", ""),
    }
    assert len(kept) + len(left) == len(packed.names) == 45
    sentence = cleaning.report(left, 45, tmp_path / "run" / "left_out.csv")
    assert sentence.startswith("42 of 45 pictures are learned from; left out: 1 ")
    with (tmp_path / "run" / "left_out.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3


def test_a_smaller_copy_is_a_repeat_and_another_colour_is_not():
    pixels = torch.stack([torch.from_numpy(np.asarray(product(i, 64)).copy()).permute(2, 0, 1) for i in range(12)])
    smaller = torch.nn.functional.interpolate(pixels[4:5].float(), (40, 40), mode="area")
    again = torch.nn.functional.interpolate(smaller, (64, 64), mode="bilinear").round().byte()
    found = cleaning.repeats(torch.cat([pixels, again, pixels[2:3].flip(1)]), own_features())
    assert found == {12: 4}


def test_a_folder_without_a_table_is_enough(folder, features, tmp_path):
    products, sentence = read_products([folder], None, tmp_path / "cache").cleaned(features, tmp_path / "left_out.csv")
    assert products.pictures.shape[1:] == (3, 64, 64)
    assert len(products.pictures) == len(products.names) == int(sentence.split()[0]) <= 43
    assert set(products.categories) == {""}
    table = tmp_path / "table.csv"
    table.write_text("file,category\n" + "".join(f"{i:02d}.png,mug\n" for i in range(30)) + "tiny.png,\n")
    known = read_products([folder], table, tmp_path / "cache")
    assert known.names == read_products([folder], None, tmp_path / "cache").names
    assert {
        name for name, label in zip(known.names, known.labels(("lamp", "mug")).tolist(), strict=True) if label == 1
    } == set(known.of(["mug"]).names)
    assert 16 <= len(known.of(["mug"]).names) < len(products.names)


def test_pictures_are_made_taller_where_that_is_asked(folder, tmp_path):
    plain, tall = (read_products([folder], None, tmp_path / "cache", stretch=s).pictures for s in (1.0, 1.5))
    heights = [
        (pictures < 200).any(1).any(2).sum(1) / (pictures < 200).any(1).any(1).sum(1) for pictures in (plain, tall)
    ]
    assert float((heights[1] / heights[0]).median()) == pytest.approx(1.5, rel=0.1)


def test_a_folder_of_one_s_own_photos_trains_with_one_command(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(AdversarialRecipe, "measured", 16)
    monkeypatch.setattr(AdversarialRecipe, "statistics_batches", 1)
    assert (
        main(["gan", "--preset", "dcgan", "--data", str(folder), "--runs", str(tmp_path / "runs"), "--steps", "1"]) == 0
    )
    said = capsys.readouterr().err
    assert "pictures are learned from; left out: " in said
    run = tmp_path / "runs" / "dcgan"
    assert {"left_out.csv", "log.jsonl", "metrics.png", "dcgan.safetensors", "dcgan.best.safetensors"} <= {
        file.name for file in run.iterdir()
    }
    assert dcgan.from_state_dict(unpack(load_file(run / "dcgan.safetensors"))).size_px == 64


def test_too_few_pictures_are_refused_in_one_sentence(features, tmp_path):
    product(0).save(tmp_path / "one.png")
    with pytest.raises(RequestError, match="too few to learn from: 1 of 1"):
        read_products([tmp_path], None, tmp_path / "cache").cleaned(features, tmp_path / "left_out.csv")


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear all,")
    with pytest.raises(RequestError, match=r"letter\.jpg cannot be read"):
        data.pack([tmp_path], tmp_path / "cache", "all", lambda p: p)


def test_what_is_transparent_is_laid_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert data.pack([tmp_path], tmp_path / "cache", "all", lambda p: p)[0].min() == 255


def test_the_critic_sees_nothing_that_was_not_augmented(pictures, features, monkeypatch):
    """Real, drawn for the critic and drawn for the generator alike (DiffAugment).

    Or the generator learns the changes.
    """
    seen = []
    monkeypatch.setattr(adversarial, "augment", lambda x, rng, **varied: 0 * x + 0.125)
    made = recipe("dcgan", pictures, features, critic_steps=2)
    made.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    made.step(0)
    assert len(seen) == 5  # twice real and drawn, then drawn again
    assert all(bool((x == 0.125).all()) for x in seen)
