"""What a caller hears while it waits, and what it gets."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

T = TypeVar("T", covariant=True)


class Picture(Protocol):
    """What a caller may do with a picture that the studio made."""

    @property
    def name(self) -> str:
        """For file names."""

    @property
    def pixels(self) -> Any:
        """A tensor (1, 3, H, W), sRGB in [0, 1]."""

    @property
    def alpha(self) -> Any:
        """A tensor (1, 1, H, W) in [0, 1], or None where all is opaque."""

    @property
    def exif(self) -> bytes | None:
        """What may be kept of the EXIF data on request."""

    @property
    def most_bytes(self) -> int | None:
        """No file of it may be larger."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def height(self) -> int:
        """In pixels."""

    def resized(self, width: int, height: int) -> Picture:
        """The same picture at another size."""

    def pil(self, most_px: int | None = None) -> Any:
        """As a Pillow image, its longer side at most `most_px`."""

    def save(
        self, file: str | Path, *, quality: int = 90, recipe: Mapping[str, Any] | None = None, keep_exif: bool = False
    ) -> Path:
        """Write it to a file of the kind that its suffix names."""


@dataclass(frozen=True)
class Progress:
    """Yielded while it works: `done` of `total` (0 when not known), what is happening, and a preview now and then.

    made: the whole picture after a step of a chain that has more of them.
    """

    done: int
    total: int
    message: str
    preview: Picture | None = None
    made: Picture | None = None


@dataclass(frozen=True)
class Notes:
    """What a person may want to know of a result: which networks ran, where, and everything that went otherwise."""

    networks: tuple[str, ...]
    device: str
    fallbacks: tuple[str, ...] = ()  # sentences: what was wanted, why not, what was used instead
    remarks: tuple[str, ...] = ()  # sentences: anything else, such as a photo that was scaled down first
    measures: Mapping[str, float] = field(default_factory=dict)
    fidelity: Mapping[str, float] = field(
        default_factory=dict
    )  # against a reference: "PSNR" in dB, "SSIM", "MS-SSIM", "mean ΔE"

    def sentence(self, seconds: float | None) -> str:
        """One line for under the picture. seconds: None where nobody took the time."""
        took = "" if seconds is None else f", {seconds:.1f} s"
        parts = [f"{' + '.join(self.networks) or 'no network'} on {self.device}{took}", *self.fallbacks, *self.remarks]
        parts += self._spoken_measures()
        if self.fidelity:
            parts.append(
                "Against the reference: " + ", ".join(f"{name} {value:.3g}" for name, value in self.fidelity.items())
            )
        return " · ".join(part.rstrip(".") for part in parts) + "."

    def _spoken_measures(self) -> Iterator[str]:
        """How much was changed, each measure with what it is on either side of the mask behind it: "mean ΔE 12 (product
        3, background 20)".
        """

        def spoken(name: str, digits: int) -> str:
            apart = [
                f"{side} {self.measures[f'{name} {side}']:.{digits}f}"
                for side in ("product", "background")
                if f"{name} {side}" in self.measures
            ]
            return f"{name.removesuffix(' kept')} {self.measures[name]:.{digits}f}" + (
                f" ({', '.join(apart)})" if apart else ""
            )

        if "mean ΔE" in self.measures:
            yield f"Changed, where 1 is just visible: {spoken('mean ΔE', 1)}"
        if kept := [spoken(name, 2) for name in ("SSIM", "edges kept") if name in self.measures]:
            yield f"Kept, where 1 is all: {', '.join(kept)}"


@dataclass(frozen=True)
class Result:
    """The last event. pictures: one or more; before: the input at the size of pictures[0], for comparison; at its own
    size where the result of Enhance has more than 24 megapixels."""

    pictures: tuple[Picture, ...]
    recipe: Mapping[str, Any]
    notes: Notes
    seconds: float
    before: Picture | None = None

    def report(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON-ready values: the web API and `--json` answer with it."""
        notes = self.notes
        return {
            "networks": list(notes.networks),
            "device": notes.device,
            "seconds": round(self.seconds, 3),
            "fallbacks": list(notes.fallbacks),
            "remarks": list(notes.remarks),
            "measures": dict(notes.measures),
            "fidelity": dict(notes.fidelity),
            "note": notes.sentence(self.seconds),
            "recipe": dict(self.recipe),
        }


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The last event of a question, which makes no picture."""

    value: T


Event: TypeAlias = Progress | Result
EventStream: TypeAlias = Generator[Event, None, None]  # close it to stop the work
Question: TypeAlias = Generator[Progress | Answer[T], None, None]  # the same
