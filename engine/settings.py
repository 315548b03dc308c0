"""What whoever hosts Vitrine may set (VITRINE_...). The Studio reads it from the environment, once, and hands it on."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from engine.contract.errors import RequestError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Limits and places. Sizes in megapixels (10^6) unless named in px, memory in bytes, times in seconds."""

    weights: Path = ROOT / "weights"  # where weight files are looked for first
    input_mpx: float = 50.0
    output_mpx: float = 200.0
    tile_memory: int = 10**9  # what a network may use above its own weights
    network_memory: int = 3 * 10**9  # what loaded networks may hold together; the least recently used leaves first
    shown_px: int = 4096  # the page shows results up to this size a side; the file has them all
    mixed: bool = True  # processors that multiply bfloat16 do so in the networks that stand it
    hub_timeout_s: float = 15.0  # without an answer from the Hub for this long, the embedded network answers

    @staticmethod
    def from_environment() -> Settings:
        """Defaults, overridden by VITRINE_WEIGHTS, VITRINE_INPUT_MPX, VITRINE_OUTPUT_MPX, VITRINE_TILE_MB,
        VITRINE_NETWORK_MB, VITRINE_SHOWN_PX, VITRINE_HUB_TIMEOUT and VITRINE_PRECISION (auto or fp32). RequestError
        names the variable that is not a number above 0, or none of the two.
        """

        def number(name: str, default: float) -> float:
            text = os.environ.get(name, "")
            try:
                value = float(text) if text else default
            except ValueError:
                value = math.nan
            if not 0 < value < math.inf:  # a limit of NaN would limit nothing
                raise RequestError(f"{name} must be a number above 0, not {text!r}.")
            return value

        precision = os.environ.get("VITRINE_PRECISION") or "auto"
        if precision not in ("auto", "fp32"):
            raise RequestError(f"VITRINE_PRECISION must be auto or fp32, not {precision!r}.")
        return Settings(
            weights=Path(os.environ.get("VITRINE_WEIGHTS") or ROOT / "weights"),
            input_mpx=number("VITRINE_INPUT_MPX", 50.0),
            output_mpx=number("VITRINE_OUTPUT_MPX", 200.0),
            tile_memory=int(number("VITRINE_TILE_MB", 1000) * 1e6),
            network_memory=int(number("VITRINE_NETWORK_MB", 3000) * 1e6),
            shown_px=max(1, int(number("VITRINE_SHOWN_PX", 4096))),
            mixed=precision == "auto",
            hub_timeout_s=number("VITRINE_HUB_TIMEOUT", 15.0),
        )


DEFAULTS = Settings()  # of a host that sets nothing
