"""VGG-19: each activation is the layer it is named after, and the names and shapes are torchvision's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engine.models import vgg


def test_vgg_computes_what_its_layers_are_named_after() -> None:
    torch.manual_seed(0)
    network = vgg.VGG19((4, 4, 4, 4, 4))
    x = torch.rand(1, 3, 32, 32)
    y = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    expected, state, position = {}, network.state_dict(), 0
    for block, count in enumerate((2, 2, 4, 4, 4), start=1):
        for k in range(1, count + 1):
            y = F.relu(
                F.conv2d(
                    F.pad(y, (1, 1, 1, 1), mode="replicate"),
                    state[f"features.{position}.weight"],
                    state[f"features.{position}.bias"],
                )
            )
            expected[f"relu{block}_{k}"] = y
            position += 2
        y = F.avg_pool2d(y, 2)
        position += 1
    for name, activation in zip(vgg.LAYERS, network(x), strict=True):
        torch.testing.assert_close(activation, expected[name])
    assert len(network(x, depth=2)) == 2


def test_vgg_has_torchvisions_names_and_shapes() -> None:
    from torchvision.models import vgg as theirs

    with torch.device("meta"):
        expected = theirs.make_layers(theirs.cfgs["E"]).state_dict()
        ours = vgg.VGG19().state_dict()
    assert {key.removeprefix("features."): tensor.shape for key, tensor in ours.items()} == {
        key: tensor.shape for key, tensor in expected.items()
    }


def test_vgg_is_strict_about_its_own_layers() -> None:
    state = vgg.VGG19((4, 4, 4, 4, 4)).state_dict()
    with pytest.raises(RuntimeError, match="Unexpected"):
        vgg.from_state_dict(state | {"features.35.weight": torch.zeros(1)})
    del state["features.34.bias"]
    with pytest.raises(RuntimeError, match="Missing"):
        vgg.from_state_dict(state)
