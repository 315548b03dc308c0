"""What every network of ours promises: shapes, ranges, odd sizes, batches, and that widths come from the file."""

import math

import pytest
import torch
from shelf import DarkOrLight, Plain

from engine.models import categories, features, generator, restore, unet, upscale
from engine.train.recipes.restore import EXPERTS, expert


def randomised(module, seed=0):
    """Every parameter random, biases and zero-initialised layers too, so that nothing passes by being zero."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=rng) / math.sqrt(max(1, p[0].numel())))
    return module.eval()


def small_generator(categories=("mug", "lamp")):
    return generator.Generator(categories, latent_dim=8, widths=(16, 12, 8, 8), components=3)


NETWORKS = {
    "features": (lambda: features.Features((4, 6, 8, 10, 12)), features),
    "unet": (lambda: unet.UNet((8, 12, 16), (1, 2, 1, 1, 0)), unet),
    "unet, leaky": (lambda: unet.UNet((8, 12, 16), (1, 2, 1, 1, 0), slope=0.2), unet),
    "unet, deeper": (lambda: unet.UNet((8, 12, 16), deepest=2), unet),
    "restore": (
        lambda: restore.Restore([unet.UNet((8, 8, 8)), unet.UNet((8, 12, 16), deepest=1)], restore.Gate(2, 8)),
        restore,
    ),
    "upscale-x2": (lambda: upscale.Upscale(2, 8, 3), upscale),
    "upscale-x4": (lambda: upscale.Upscale(4, 8, 2), upscale),
    "generator": (small_generator, generator),
    "categories": (
        lambda: categories.Categories(("mug", "lamp", "vase"), features.Features((4, 6, 8, 10, 12))),
        categories,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_rebuilt_from_its_weights_alone(name):
    build, module = NETWORKS[name]
    network = randomised(build())
    again = module.from_state_dict(network.state_dict()).eval()
    x = (torch.rand(2, 8), torch.tensor([0, 1])) if name == "generator" else (torch.rand(2, 3, 32, 48),)
    with torch.no_grad():
        ours, theirs = network(*x), again(*x)
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_missing_tensor_is_refused(name):
    build, module = NETWORKS[name]
    state = dict(build().state_dict())
    state.pop(next(k for k in state if k.endswith("bias")))
    with pytest.raises(RuntimeError, match="Missing key"):
        module.from_state_dict(state)


@pytest.mark.parametrize("name", ["unet", "restore", "upscale-x2", "upscale-x4", "features", "categories"])
def test_a_batch_of_two_equals_two_batches_of_one(name):
    network = randomised(NETWORKS[name][0]())
    x = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        both = network(x)
        one = [network(p[None]) for p in x]
    if isinstance(both, list):
        both, one = both[-1], [o[-1] for o in one]
    torch.testing.assert_close(both, torch.cat(one), atol=1e-5, rtol=1e-4)


def test_features_halve_at_each_layer_and_take_odd_sizes():
    with torch.no_grad():
        maps = features.Features()(torch.rand(1, 3, 33, 47))
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 33, 47), (32, 16, 23), (64, 8, 11), (128, 4, 5), (256, 2, 2)]


def test_relative_error_is_zero_for_the_same_and_one_for_nothing():
    maps = [torch.rand(1, 2, 3, 3), torch.rand(1, 4, 2, 2)]
    assert features.relative_error(maps, maps).tolist() == [0, 0]
    assert features.relative_error([torch.zeros_like(m) for m in maps], maps).tolist() == [1, 1]


def test_a_picture_is_of_the_same_category_at_any_size():
    network = randomised(NETWORKS["categories"][0]())
    assert network.categories == ("mug", "lamp", "vase")
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            network(x.repeat_interleave(4, 2).repeat_interleave(4, 3)).argmax(1), network(x).argmax(1)
        )
        assert network(torch.rand(1, 3, 3, 3)).isfinite().all()


def test_pooling_gives_means_deviations_and_maxima_of_the_three_deepest_layers():
    maps = [torch.rand(2, c, 16 >> k, 16 >> k) for k, c in enumerate((2, 3, 4, 5, 6))]
    maps[4] = torch.rand(2, 6, 4, 4)
    pooled = categories.pool(maps)
    assert pooled.shape == (2, 6 * (4 + 5 + 6))
    torch.testing.assert_close(pooled[:, :4], maps[2].mean((2, 3)))
    torch.testing.assert_close(pooled[:, 4:8], maps[2].std((2, 3)))
    torch.testing.assert_close(pooled[0, -24], maps[4][0, 0, :2, :2].max())


def test_a_unet_without_its_two_ends_gives_the_photo_back():
    network = randomised(unet.UNet((8, 8, 8)))
    for parameter in (*network.tail.parameters(), *network.to_block.parameters()):
        parameter.data.zero_()
    x = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(network(x), x)


def test_the_deepest_level_changes_nothing_until_it_is_trained():
    plain = randomised(unet.UNet((8, 8, 8)))
    deeper = unet.UNet((8, 8, 8), deepest=1)
    deeper.load_state_dict({**deeper.state_dict(), **plain.state_dict()})
    x = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(deeper(x), plain(x))
        deeper.from_sixteenth.bias.data.fill_(0.1)
        assert not torch.equal(deeper(x), plain(x))


@pytest.mark.parametrize("kind", EXPERTS)
def test_an_expert_of_restore_costs_at_most_60_kmac_a_pixel(kind):
    network, made = expert(kind), []

    def count(layer, given, answer):
        places = (given[0] if isinstance(layer, torch.nn.ConvTranspose2d) else answer)[0, 0].numel()
        made.append(layer.weight.numel() * places)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    assert 55_000 < sum(made) / 64**2 <= 60_000


def test_each_photo_goes_to_the_expert_that_its_gate_chooses():
    network = restore.Restore([Plain(lambda x: x + 0.1), Plain(lambda x: x + 0.2)], DarkOrLight())
    x = torch.stack([torch.full((3, 16, 16), 0.3), torch.full((3, 16, 16), 0.7)])
    torch.testing.assert_close(network(x), x + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1))
    torch.testing.assert_close(network(x, expert=0), x + 0.1)


def test_the_expert_is_chosen_by_the_whole_photo_not_by_its_first_part():
    photo = torch.full((1, 3, 300, 900), 0.9)
    photo[..., :300] = 0.1
    assert restore.best(DarkOrLight(), photo) == 1
    assert restore.best(DarkOrLight(), photo[..., :310]) == 0


def test_a_gate_takes_parts_of_any_size_and_sees_no_light():
    gate = randomised(restore.Gate(3, 8))
    x, file = torch.rand(2, 3, 35, 50), torch.zeros(1)
    with torch.no_grad():
        assert gate(x, file).shape == (2, 3)
        torch.testing.assert_close(gate(x, file), gate(x + 0.25, file), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(gate(x, file), gate(x[..., :32, :48], file))
        assert gate(x[..., :3, :5], file).isfinite().all()


def test_the_experts_for_what_goes_beyond_black_and_white_are_chosen_for_it_alone_and_always():
    gate = randomised(restore.Gate(3, 8, unbounded=2))
    photo = torch.rand(1, 3, 300, 900)
    assert restore.best(gate, photo) == 2
    photo[0, 0, 299, 899] = 1.01
    assert restore.best(gate, photo) < 2
    assert restore.beyond(torch.tensor([-0.01, 0.0, 1.0, 1.0001]).view(4, 1, 1, 1)).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("scale", [2, 4])
def test_upscale_without_a_tail_is_bilinear(scale):
    network = randomised(upscale.Upscale(scale, 8, 2))
    network.tail.weight.data.zero_()
    network.tail.bias.data.zero_()
    x = torch.rand(1, 3, 9, 7)
    expected = torch.nn.functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
    with torch.no_grad():
        assert torch.equal(network(x), expected)


def test_a_folded_convolution_is_the_sum_of_its_branches():
    rich = randomised(upscale.RichConv(4, 4))
    x = torch.randn(1, 4, 9, 9)
    conv = torch.nn.functional.conv2d
    with torch.no_grad():
        expanded = conv(x, rich.expand[:, :, None, None])
        edges = [
            conv(conv(x, point[:, :, None, None]), (gain[:, None, None] * edge)[:, None], padding=1, groups=4)
            for point, gain, edge in zip(rich.edge_points, rich.edge_gains, upscale._EDGES, strict=True)
        ]
        branches = [
            conv(x, rich.plain, padding=1),
            conv(x, rich.point[:, :, None, None]),
            x,
            conv(expanded, rich.squeeze, padding=1),
            *edges,
        ]
        torch.testing.assert_close(rich(x), sum(branches) + rich.bias[:, None, None], atol=1e-5, rtol=1e-5)


def test_a_rich_network_and_its_folded_form_agree():
    rich = randomised(upscale.Upscale(4, 8, 3, rich=True))
    x = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(rich(x), upscale.from_state_dict(rich.folded())(x), atol=1e-4, rtol=1e-4)


def test_pictures_of_a_generator_are_in_range_and_of_its_size():
    network = randomised(small_generator())
    with torch.no_grad():
        pictures = network(10 * torch.randn(3, 8), torch.tensor([0, 1, 0]))
    assert pictures.shape == (3, 3, network.size_px, network.size_px)
    assert 0 <= pictures.min() <= pictures.max() <= 1


@pytest.mark.parametrize(("down", "across"), [(8, 0), (0, 8), (8, 8), (4, 0), (0, 4), (1, 1), (3, 5)])
def test_of_a_wave_the_share_is_taken_out_that_the_lattice_is_made_of(down, across):
    u, v = (2 * math.pi * k / 16 for k in (down, across))
    wave = (torch.cos(u * torch.arange(48))[:, None] * torch.cos(v * torch.arange(48))).expand(1, 3, -1, -1)
    left = (1 - math.sin(u / 2) ** 6) * (1 - math.sin(v / 2) ** 6)
    inside = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(
        generator.without_lattice(0.5 + 0.3 * wave)[inside], (0.5 + 0.3 * left * wave)[inside], atol=1e-5, rtol=0
    )


def test_the_categories_of_a_generator_survive_its_file():
    assert generator.from_state_dict(small_generator(("mug", "t-shirt")).state_dict()).categories == ("mug", "t-shirt")


def test_codes_do_not_depend_on_how_many_are_drawn():
    network = randomised(small_generator())
    few = network.sample_latents("mug", 2, 1.0, torch.Generator().manual_seed(3))
    many = network.sample_latents("mug", 5, 1.0, torch.Generator().manual_seed(3))
    assert torch.equal(few, many[:2])


def test_truncation_zero_gives_a_centre_of_the_category():
    network = small_generator()
    network.means.normal_(generator=torch.Generator().manual_seed(1))
    latents = network.sample_latents("lamp", 6, 0.0, torch.Generator().manual_seed(0))
    centres = network.means[network.component_of == network.categories.index("lamp")]
    assert all(any(torch.equal(latent, centre) for centre in centres) for latent in latents)


def test_a_fitted_mixture_has_the_mean_and_spread_of_what_it_was_fitted_to():
    network = small_generator()
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(4000) % 2
    latents = torch.randn(4000, 8, generator=rng) * torch.linspace(0.5, 2, 8) + 3 * labels[:, None]
    network.fit_latents(latents, torch.full((4000, 8), 0.01), labels, per_component=4000, shrinkage=0.0)
    drawn = network.sample_latents("lamp", 3000, 1.0, rng)
    torch.testing.assert_close(drawn.mean(0), latents[labels == 1].mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(drawn.std(0), latents[labels == 1].std(0), atol=0.05, rtol=0.05)


def test_kl_is_zero_at_the_prior_and_known_elsewhere():
    zero = torch.zeros(3, 4)
    assert generator.kl_divergence(zero, zero) == 0
    mean, log_variance = torch.full((3, 4), 2.0), torch.full((3, 4), math.log(0.25))
    assert generator.kl_divergence(mean, log_variance) == pytest.approx(4 * 0.5 * (4 + 0.25 - 1 - math.log(0.25)))


def test_a_code_holds_the_colour_that_was_put_into_it():
    network = small_generator()
    red = torch.tensor([0.8, 0.1, 0.2])
    latents = network.with_colour(torch.randn(3, 8), red)
    torch.testing.assert_close(network.colour_of(latents), red.expand(3, -1))
    assert torch.equal(network.with_colour(latents, red), latents)
    torch.testing.assert_close(generator.colour_latent(torch.full((1, 3), 0.5)), torch.zeros(1, 3))


def test_the_colour_of_a_product_is_that_of_what_is_not_white():
    x = torch.ones(2, 3, 8, 8)
    x[0, :, 2:6, 2:6] = torch.tensor([0.7, 0.2, 0.1]).view(3, 1, 1)
    colours = generator.product_colour(x)
    torch.testing.assert_close(colours[0], torch.tensor([0.7, 0.2, 0.1]), atol=2e-3, rtol=0)
    assert torch.equal(colours[1], torch.ones(3))


def test_an_autoencoder_s_file_holds_its_encoder():
    network = randomised(generator.Autoencoder(("mug", "lamp"), 8, (16, 8, 8), 3, (8, 8))).eval()
    again = generator.from_state_dict(network.state_dict()).eval()
    x = torch.rand(2, 3, network.size_px, network.size_px)
    assert isinstance(again, generator.Autoencoder)
    assert torch.equal(network.encode(x), again.encode(x))
    assert network.encode(x).shape == (2, 8)


def test_the_directions_of_a_category_are_its_principal_components():
    network = small_generator()
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 2
    spread = torch.tensor([3.0, 2.0, 0.5, 0.1, 0.1, 5.0, 5.0, 5.0])  # the last three are the colour: not counted
    latents = torch.randn(2000, 8, generator=rng) * spread
    network.fit_latents(latents, torch.zeros(2000, 8), labels, per_component=2000, shrinkage=0.0)
    directions = network.directions("mug")
    assert directions.shape == (4, 8)
    assert not directions[:, 5:].any()
    torch.testing.assert_close(directions[0, 0], torch.tensor(3.0), atol=0.25, rtol=0)
    torch.testing.assert_close(directions[1, 1], torch.tensor(2.0), atol=0.25, rtol=0)


def test_noise_beyond_the_known_level_is_left_where_it_is():
    noise = torch.full((1, 3, 40, 80), 0.1)
    noise[..., 40:] *= -0.2  # weak on the right
    limited = restore.at_most(noise, 0.04)
    assert torch.allclose(limited[..., :30], torch.tensor(0.04))
    assert torch.equal(limited[..., 50:], noise[..., 50:])
    assert torch.equal(restore.at_most(noise, 0.2), noise)
    assert torch.equal(restore.at_most(torch.zeros(1, 3, 8, 8), 0.1), torch.zeros(1, 3, 8, 8))
