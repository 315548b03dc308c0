"""Fréchet Inception distance (Heusel et al. 2017) and Inception score (Salimans et al. 2016), by torchmetrics.

The Inception network is the one that both were published with (2015-12-05, from the Hub), in torch-fidelity's port,
which is in the group `inception` of `pyproject.toml`. It has seen photographs of ImageNet and no packshots on white,
and below some thousand pictures both figures are biased: compare only what was measured on as many.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.runtime.work import finished
from engine.weights import WeightsUnavailable

if TYPE_CHECKING:
    from engine.weights import Network, Weights

FEATURES = ["2048", "logits_unbiased"]  # what the distance and the score look at
SPLITS = 10  # of the pictures, whose scores are averaged
_BATCH = 32


def measure(made: Tensor, real: Tensor, weights: Weights) -> tuple[dict[str, float], str]:
    """Figures by their names, and ""; or none, and one sentence that says why not.

    Pictures made (N, 3, H, W) and real (M, 3, H, W), at least SPLITS of each: uint8, or floats in [0, 1].
    """
    try:
        network = finished(weights.load("inception"))
        return scores(made, real, network), ""
    except WeightsUnavailable as error:
        return {}, f"Inception FID and IS are not measured: {error}"
    except ImportError as error:
        return {}, f"Inception FID and IS are not measured: the Python package {error.name} is not installed."


def scores(made: Tensor, real: Tensor, network: Network) -> dict[str, float]:
    """Distance (less is better) and score (more is better), as `network.module` sees the pictures.

    It takes uint8 (N, 3, H, W) and gives features (N, D) and logits (N, classes).
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore

    features, logits = _seen(made, network)
    distance = FrechetInceptionDistance(_Given(features.shape[1]))
    distance.update(features, real=False)
    distance.update(_seen(real, network)[0], real=True)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `InceptionScore` will save all", UserWarning)
        torch.manual_seed(0)  # the splits are drawn at random
        score = InceptionScore(nn.Identity(), SPLITS)
        score.update(logits)
        mean, _ = score.compute()
    return {"Inception FID": float(distance.compute()), "Inception score": float(mean)}


def from_state_dict(state: dict[str, Tensor]) -> nn.Module:
    """torch-fidelity's port with these weights. Strict. ImportError where torch-fidelity is not installed."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # It reads a file and nothing else; here, one in memory that holds tensors alone.
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    network: nn.Module = FeatureExtractorInceptionV3(
        "inception-v3-compat", FEATURES, feature_extractor_weights_path=stream
    )
    return network


class _Given(nn.Identity):
    """Stands where torchmetrics would look at pictures: they were looked at once, for both figures."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def _seen(pictures: Tensor, network: Network) -> tuple[Tensor, Tensor]:
    seen = []
    with torch.inference_mode():
        for batch in pictures.split(_BATCH):
            eight_bit = batch if batch.dtype == torch.uint8 else (batch.clamp(0, 1) * 255).round().to(torch.uint8)
            seen.append([part.float().cpu() for part in network.module(eight_bit.to(network.device))])
    features, logits = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return features, logits
