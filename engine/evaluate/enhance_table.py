"""The table of all steps of Enhance in docs/measured.md: ours, what is done without a network, and the Hub's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Name in the index of what was measured -> headline of its measurement -> what that is. In the order of the steps.
ENHANCE: dict[str, dict[str, str]] = {
    "restore": {
        "sigma 25 dB": "white noise of sigma 25 on BSD68, PSNR (dB)",
        "JPEG q20 dB": "JPEG of quality 20 on BSD68, luma PSNR (dB)",
        "own photos, sigma 25 dB": "white noise of sigma 25 on held-out product photos, PSNR (dB)",
        "own photos, JPEG q20 dB": "JPEG of quality 20 on held-out product photos, luma PSNR (dB)",
    },
    "deblur": {"blurred photos dB": "held-out photos, blurred, PSNR (dB)"},
    "tone": {"spoiled photos dB": "held-out photos in a wrong light, PSNR (dB)"},
    "inpaint": {"PSNR in holes dB": "held-out photos, PSNR in free-form holes (dB)"},
    "matte": {"IoU": "held-out composites, mean IoU", "photos IoU": "held-out photos on a plain background, mean IoU"},
    "upscale-x2": {"Set5 dB": "Set5, luma PSNR (dB)", "own photos dB": "held-out product photos, luma PSNR (dB)"},
    "upscale-x4": {
        "Set5 dB": "Set5, luma PSNR (dB)",
        "own photos dB": "held-out product photos, luma PSNR (dB)",
        "Set14 as JPEG 40 dB": "Set14, small pictures saved as JPEG of quality 40, after `restore`, luma PSNR (dB)",
    },
    "upscale-x4-crisp": {"Set14 patches": "Set14, patch sliced-Wasserstein x 1000, less is better"},
    "prior": {
        "sigma 25 dB": "white noise of sigma 25 on Set5 at 256 px, PSNR (dB)",
        "half gone dB": "half of the pixels gone on Set5 at 256 px, PSNR (dB)",
        "x2 dB": "x2 on Set5 at 256 px, PSNR (dB)",
    },
}
TIME = "time ratio"  # the headline of the time, as a multiple of the baseline's
_STEPS = {"matte": "cut-out"}  # where a step is called otherwise than its network


def enhance_markdown(index: Mapping[str, Mapping[str, Any]], hub: Mapping[str, str]) -> str:
    """A row for each headline of ENHANCE that was measured; "" if none was.

    hub: our network -> the Hub's of the same step. The time stands in a step's first row, and beside what it was taken.
    """
    lines = []
    for name, headlines in ENHANCE.items():
        facts = index.get(name, {})
        measured, beside = facts.get("measured", {}), facts.get("beside", {})
        time = f"{measured[TIME]:.3g} x {_without_number(beside[TIME])}" if TIME in measured else ""
        for headline, what in headlines.items():
            if headline in measured:
                found = (f"{measured[headline]:.4g}", beside.get(headline, ""), _of_hub(index, hub.get(name), headline))
                lines.append(f"| {' | '.join((f'`{_STEPS.get(name, name)}`', what, *found, time))} |\n")
                time = ""
    head = (
        "| step | measured | ours | beside it | from the Hub | time per Mpx |\n| --- | --- | --- | --- | --- | --- |\n"
    )
    return head + "".join(lines) if lines else ""


def _of_hub(index: Mapping[str, Mapping[str, Any]], name: str | None, headline: str) -> str:
    if name is None:
        return "none"
    figure = index.get(name, {}).get("measured", {}).get(headline)
    return f"{name} not run here" if figure is None else f"{name} {figure:.4g}"


def _without_number(beside: str) -> str:
    """ "Gaussian filter 1" -> "Gaussian filter"."""
    return beside.rpartition(" ")[0]
