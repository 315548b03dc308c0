"""`deblur`: held-out photos out of focus or shaken, beside filters that are given what a photo alone does not show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.evaluate.measures import Row, Sources, held_out_crops, mean, psnr, runner, time_beside

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from engine.weights import Network

PICTURES = 24
SIDE_PX = 192
BORDER_PX = 12  # not measured: filters err where they do not see
NOISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # of Wiener's filter
ITERATIONS = 100  # of Richardson and Lucy's at most
ENLARGED = 3  # times, to have longer blurs
GOAL_DB = 3.5


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """PSNR on blur as in training, on each kind of it, and where stripes, checks or dots are printed over the photos.

    Filters are tuned to each photo by the sharp one: their strength, and "best kernel" the kernel out of
    `deconvolution.family`; "true kernel" is the one that blurred it. None of that can be had outside a test.
    """
    import torch

    from engine.models import sharpen
    from engine.train import degrade

    run = runner(network)
    photos = held_out_crops(sources.photos(), PICTURES, SIDE_PX + degrade.BLUR_PX - 1)
    kinds: dict[str, Callable[[np.random.Generator], Tensor]] = {
        "blurred as in training": _random_kernel,
        "out of focus, radius 1 to 4 px": lambda rng: degrade.disk_kernel(rng.uniform(1, 4)),
        "shaken by 4 to 21 px": lambda rng: degrade.motion_kernel(rng.uniform(4, 21), rng),
    }
    for kind, draw in kinds.items():
        pairs = list(_blurred(photos, draw))
        ours, before, masked = (
            mean(psnr(method(x), sharp, BORDER_PX) for x, sharp, _ in pairs)
            for method in (run, lambda x: x, sharpen.unsharp)
        )
        is_first = draw is _random_kernel
        said = f"{len(pairs)} held-out photos, {kind}"
        yield Row(said, "PSNR (dB)", ours, before, "the blurred photo", "blurred photos dB" if is_first else "")
        if is_first:
            yield Row(said, "PSNR gained over the blurred photo (dB)", ours - before, GOAL_DB, "goal", "gain dB")
        yield Row(said, "PSNR (dB)", ours, masked, "unsharp masking, as without a network")
        for name, value in _filters(pairs).items():
            yield Row(said, "PSNR (dB)", ours, value, name)
    larger = list(_longer(photos, kinds["shaken by 4 to 21 px"]))
    step = _step(network)
    ours, before = (
        mean(psnr(method(x), sharp, ENLARGED * BORDER_PX) for x, sharp in larger) for method in (step, lambda x: x)
    )
    said = f"{len(larger)} held-out photos x{ENLARGED}, shaken by {4 * ENLARGED} to {21 * ENLARGED} px"
    yield Row(said, "PSNR (dB)", ours, before, "the blurred photo")
    printed = _printed(photos)
    pairs = list(_blurred(printed, _random_kernel))
    ours, before = (mean(psnr(method(x), sharp, BORDER_PX) for x, sharp, _ in pairs) for method in (run, lambda x: x))
    yield Row(
        f"{len(pairs)} held-out photos printed over, blurred as in training",
        "PSNR (dB)",
        ours,
        before,
        "the blurred photo",
    )
    for pictures, said in ((photos, "as they are"), (printed, "printed over")):
        kept = mean(psnr(run(x), x) for x in pictures)
        yield Row(f"{len(pictures)} held-out photos {said}", "PSNR to themselves (dB)", kept, float("inf"), "as it is")
    x = torch.rand(1, 3, 1024, 1024)
    yield time_beside("1 Mpx", lambda: run(x), lambda: sharpen.unsharp(x), "unsharp masking")


def _step(network: Network) -> Callable[[Tensor], Tensor]:
    """As a request has it done, which finds a longer blur on a smaller copy; (1, 3, H, W) in and out."""
    from engine import Studio
    from engine.contract.enhance import EnhanceRequest
    from engine.enhance.steps import deblur as step
    from engine.enhance.steps.context import StepContext
    from engine.image import Picture
    from engine.runtime.preview import Preview
    from engine.runtime.work import finished

    request, settings = EnhanceRequest("photo.png", steps=("deblur",)), Studio().settings
    return lambda x: finished(step.run(Picture(x), network, StepContext(request, settings, Preview(x)))).pixels


def _random_kernel(rng: np.random.Generator) -> Tensor:
    """As in training, where some photos stay sharp: those are left out."""
    from engine.train import degrade

    while (kernel := degrade.random_kernel(rng)).max() > 0.9:
        pass
    return kernel


def _printed(photos: list[Tensor]) -> list[Tensor]:
    """Regular patterns over (1, 3, H, W) each, which an estimate of blur can take for that of a shaken camera."""
    import numpy as np

    from engine.train import patterns

    rng = np.random.default_rng(1)
    return [patterns.printed(photo[0], rng)[None] for photo in photos]


def _blurred(
    photos: list[Tensor], draw: Callable[[np.random.Generator], Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(blurred, sharp, kernel) of each photo, with noise and JPEG as in training.

    The kernel as a convolution has it.
    """
    import numpy as np

    from engine.train import degrade

    rng = np.random.default_rng(0)
    edge = (degrade.BLUR_PX - 1) // 2
    for photo in photos:
        kernel = draw(rng)
        yield (
            degrade.as_saved(degrade.blurred(photo, kernel[None]), rng),
            photo[:, :, edge:-edge, edge:-edge],
            kernel.flip(0, 1),
        )


def _longer(photos: list[Tensor], draw: Callable[[np.random.Generator], Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """(blurred, sharp) as of `_blurred`, photos and kernels enlarged before."""
    import numpy as np
    import torch.nn.functional as F

    from engine.train import degrade

    rng = np.random.default_rng(0)
    for photo in photos:
        large, kernel = (
            F.interpolate(x, scale_factor=ENLARGED, mode="bicubic").clamp(0, 1) for x in (photo, draw(rng)[None, None])
        )
        blurred = F.conv2d(large.transpose(0, 1), kernel / kernel.sum()).transpose(0, 1)
        edge = kernel.shape[-1] // 2
        yield degrade.as_saved(blurred, rng), large[:, :, edge:-edge, edge:-edge]


def _filters(pairs: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """Mean PSNR of each filter, by its name."""
    import torch

    from engine.evaluate import deconvolution

    known = deconvolution.family()
    scores: dict[str, list[float]] = {}
    for x, sharp, true in pairs:
        tried = torch.stack(
            [_each(deconvolution.wiener(x, known, noise), sharp) for noise in NOISES]
        )  # (noises, kernels)
        best = known[int(tried.amax(0).argmax())]
        known_kernel = torch.stack([_each(deconvolution.wiener(x, true[None], noise), sharp) for noise in NOISES])
        scores.setdefault(f"Wiener, best kernel of {len(known)}", []).append(float(tried.max()))
        scores.setdefault("Wiener, true kernel", []).append(float(known_kernel.max()))
        for name, kernel in (
            (f"Richardson-Lucy, best kernel of {len(known)}", best),
            ("Richardson-Lucy, true kernel", true),
        ):
            guesses = deconvolution.richardson_lucy(x, kernel, ITERATIONS)
            scores.setdefault(name, []).append(max(float(_each(guess, sharp)) for guess in guesses))
    return {name: mean(values) for name, values in scores.items()}


def _each(found: Tensor, sharp: Tensor) -> Tensor:
    """PSNR of each of (N, 3, H, W) in dB, (N,)."""
    inside = slice(BORDER_PX, -BORDER_PX)
    error = (found - sharp)[..., inside, inside].square().mean((1, 2, 3))
    return -10 * error.clamp_min(1e-10).log10()
