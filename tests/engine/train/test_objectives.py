"""The losses of DCGAN, WGAN and WGAN-GP in closed form."""

import math

import pytest
import torch
from torch import nn

from engine.models.features import Features
from engine.train import objectives
from engine.train.objectives import DCGAN, OBJECTIVES, WGAN, WGAN_GP
from engine.train.perceptual import Perceptual


class Linear(nn.Module):
    """A critic x -> w . x; its slope is w everywhere."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x):
        return x.flatten(1) @ self.w


def test_a_discriminator_that_knows_nothing_pays_ln_2():
    nothing = torch.zeros(5)
    assert float(objectives.discriminator_bce(nothing, nothing)) == pytest.approx(math.log(2))
    assert float(objectives.generator_bce(nothing)) == pytest.approx(math.log(2))


def test_cross_entropy_is_that_of_the_logistic_function():
    real, fake = torch.tensor([2.0]), torch.tensor([-1.0])
    wanted = 0.5 * (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)))
    assert float(objectives.discriminator_bce(real, fake)) == pytest.approx(wanted)
    assert float(objectives.generator_bce(fake)) == pytest.approx(math.log1p(math.exp(1)))


def test_smoothing_is_one_sided_and_the_best_logit_is_that_of_its_target():
    real = torch.zeros(1, requires_grad=True)
    fake = torch.tensor([-50.0])
    best = math.log(0.9 / 0.1)
    at_best = objectives.discriminator_bce(real + best, fake, smoothing=0.1)
    (slope,) = torch.autograd.grad(at_best, real)
    assert float(slope) == pytest.approx(0, abs=1e-6)
    assert float(objectives.discriminator_bce(torch.tensor([50.0]), fake, smoothing=0.0)) == pytest.approx(0, abs=1e-6)


def test_the_generator_s_slope_does_not_fade_where_the_discriminator_is_sure():
    fake = torch.tensor([-20.0], requires_grad=True)
    objectives.generator_bce(fake).backward()
    assert float(fake.grad) == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("w", [[3.0, 4.0], [0.6, 0.8], [0.0, 0.5]])
def test_the_penalty_of_a_linear_critic_is_its_slope_s_distance_from_one(w):
    critic = Linear(torch.tensor(w))
    real, fake = torch.rand(4, 2), torch.rand(4, 2)
    penalty = objectives.gradient_penalty(critic, real, fake, torch.rand(4))
    length = math.hypot(*w)
    assert float(penalty.detach()) == pytest.approx((length - 1) ** 2, rel=1e-5)
    (slope,) = torch.autograd.grad(penalty, critic.w)
    torch.testing.assert_close(slope, 2 * (length - 1) * torch.tensor(w) / length)


def test_the_penalty_is_taken_at_the_share_of_the_way_to_the_real_picture():
    real, fake = torch.full((2, 1, 1, 1), 3.0), torch.full((2, 1, 1, 1), 1.0)
    squared = objectives.gradient_penalty(
        lambda x: 0.5 * x.flatten(1).square().sum(1), real, fake, torch.tensor([0.25, 1.0])
    )
    assert float(squared.detach()) == pytest.approx(((1.5 - 1) ** 2 + (3 - 1) ** 2) / 2)  # the slope of x^2 / 2 is x


def test_clipping_bounds_every_weight_and_leaves_small_ones():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))
    small = module[0].weight.detach().abs() < 0.01
    before = module[0].weight.detach().clone()
    objectives.clip_weights(module, 0.01)
    assert max(float(p.detach().abs().max()) for p in module.parameters()) <= 0.01
    assert torch.equal(module[0].weight[small], before[small])


def test_the_distance_of_two_shifted_points_is_the_shift_along_the_critic():
    critic = Linear(torch.tensor([0.6, 0.8]))
    points = torch.rand(7, 1).expand(7, 2)
    shifted = points + torch.tensor([3.0, 4.0])
    assert float(objectives.wasserstein(critic(shifted), critic(points)).detach()) == pytest.approx(5.0, rel=1e-6)


def test_each_paper_s_settings_are_there():
    assert OBJECTIVES.keys() == {"dcgan", "wgan", "wgan-gp"}
    weights = [nn.Parameter(torch.zeros(1))]
    adam, rmsprop, other = (objective.optimizer(weights) for objective in (DCGAN, WGAN, WGAN_GP))
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (2e-4, (0.5, 0.999))
    assert (type(rmsprop), rmsprop.defaults["lr"], WGAN.clip, WGAN.critic_steps) == (torch.optim.RMSprop, 5e-5, 0.01, 5)
    assert (other.defaults["lr"], other.defaults["betas"], WGAN_GP.penalty, WGAN_GP.critic_norm) == (
        1e-4,
        (0.0, 0.9),
        10.0,
        "layer",
    )


def test_a_critic_is_told_and_measured_as_its_paper_says():
    critic = Linear(torch.tensor([1.0, 0.0]))
    real, fake, share = torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([[-1.0, 0.0], [3.0, 0.0]]), torch.rand(2)
    loss, told = DCGAN.critic_loss(critic, real, fake, share)
    assert (told["real_right"], told["fake_right"]) == (1.0, 0.5)
    assert float(loss.detach()) == pytest.approx(
        float(objectives.discriminator_bce(critic(real), critic(fake)).detach())
    )
    loss, told = WGAN.critic_loss(critic, real + 4, fake, share)
    assert told == {"real_right": 1.0, "fake_right": 1.0, "distance": 4.5}
    assert float(loss.detach()) == -4.5
    loss, told = WGAN_GP.critic_loss(Linear(torch.tensor([3.0, 0.0])), real + 4, fake, share)
    assert float(loss.detach()) == pytest.approx(10 * 4 - 3 * 4.5)
    assert told["penalty"] == pytest.approx(4.0)
    assert float(WGAN.generator_loss(critic(fake)).detach()) == -1.0


# The hinge loss over maps, and the distance through features


def test_the_hinge_is_nothing_beyond_the_margin_and_grows_by_one_for_one() -> None:
    sure, unsure = torch.full((2, 1, 3, 3), 1.5), torch.zeros(2, 1, 3, 3)
    assert float(objectives.hinge([sure], [-sure])) == 0
    assert float(objectives.hinge([unsure], [unsure])) == 2
    assert float(objectives.hinge([-sure], [sure])) == 2 * 2.5
    assert float(objectives.hinge([sure, unsure], [-sure, unsure])) == 2, "maps are summed"


def test_there_may_be_more_fakes_than_real_pictures() -> None:
    assert float(objectives.hinge([torch.zeros(2, 1, 3, 3)], [torch.full((4, 1, 3, 3), 1.0)])) == 1 + 2


def test_places_without_weight_do_not_count() -> None:
    logits, weight = torch.tensor([[[[0.0, -5.0]]]]), torch.tensor([[[[3.0, 0.0]]]])
    assert float(objectives.hinge([logits], [logits], [weight])) == 2
    assert float(objectives.hinge_fooled([logits - 1], [weight])) == 1
    assert float(objectives.hinge_fooled([torch.full((1, 1, 2, 2), 2.0)] * 3)) == -6


def test_the_share_that_is_accuracyly_is_averaged_over_maps() -> None:
    half, none = torch.tensor([1.0, -1.0]), torch.tensor([-1.0, -1.0, -1.0])
    assert objectives.accuracy([half, none], [half, none]) == {"real_right": 0.25, "fake_right": 0.75}


def test_the_perceptual_distance_weighs_layers_alike_and_looks_at_the_first_ones_only() -> None:
    torch.manual_seed(0)
    eyes, examples = Features((4, 4, 4, 4, 4)), torch.rand(4, 3, 32, 32)
    perceptual = Perceptual(eyes, examples, layers=2)
    seen = eyes(examples)
    assert float(perceptual(seen, seen)) == 0
    further = [a + k for a, k in zip(seen, (0.1, 0.2, 9.0, 9.0, 9.0), strict=True)]
    expected = 0.1 / float(seen[0].std()) + 0.2 / float(seen[1].std())
    assert float(perceptual(further, seen)) == pytest.approx(expected, rel=1e-4)
    assert not any(p.requires_grad for p in eyes.parameters())


@pytest.mark.parametrize("size", [4, 9])
def test_the_zero_centred_penalty_of_a_linear_critic_is_its_weights_squared(size: int) -> None:
    weight = torch.randn(size, generator=torch.Generator().manual_seed(0))
    pictures = torch.rand(7, size)
    penalty = objectives.zero_centred_penalty(lambda x: x @ weight, pictures)
    assert float(penalty) == pytest.approx(float(weight.square().sum()), rel=1e-5)


def test_the_zero_centred_penalty_teaches_the_critic() -> None:
    critic = torch.nn.Linear(3, 1)
    objectives.zero_centred_penalty(lambda x: critic(x)[:, 0], torch.rand(5, 3)).backward()
    torch.testing.assert_close(critic.weight.grad, 2 * critic.weight.detach())


def test_the_relativistic_loss_at_equal_scores_is_the_logarithm_of_2() -> None:
    scores = torch.tensor([3.0, -1.0, 0.0])
    assert float(objectives.relativistic(scores, scores)) == pytest.approx(math.log(2))
    assert float(objectives.relativistic(scores + 5, scores)) < 0.01
    assert float(objectives.relativistic(scores, scores + 5)) == pytest.approx(5, rel=0.01)
