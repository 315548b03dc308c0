"""What a result, or the picture after any step of a chain, is measured by: against the photo that it was, and against a
reference.
"""

from __future__ import annotations

from engine import image
from engine.enhance.steps.context import PhotoPart
from engine.image import Picture
from engine.settings import Settings


def changed(photo: Picture, result: Picture) -> dict[str, float]:
    """How much the photo was changed, at the smaller of both sizes and of at most a megapixel."""
    from engine.models import change

    width, height = min((photo.width, photo.height), (result.width, result.height))
    if (shrink := (change.MOST_PX / (width * height)) ** 0.5) < 1:
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
    return change.measures(photo.resized(width, height).on_white(), result.resized(width, height).on_white())


def fidelity(
    result: Picture, file: str, settings: Settings, remarks: list[str], part: PhotoPart | None = None
) -> dict[str, float]:
    """The result against the reference in a file, both at the result's size; a part against the same part.

    What has to be said of it is added to `remarks`: nothing is measured against a reference of another shape.
    """
    from engine.models import fidelity

    reference, whole = image.load(file, settings), part.whole if part else result
    if abs(whole.width * reference.height - whole.height * reference.width) > 0.02 * whole.height * reference.width:
        size, what = f"{reference.width} x {reference.height}", "photo" if part else "result"
        remarks.append(
            f"The reference has {size} pixels, which is another shape than the {what}'s, so nothing was measured"
            " against it."
        )
        return {}
    if part:
        reference = _same_part(reference, part)
    if (reference.width, reference.height) != (result.width, result.height):
        remarks.append(f"The reference was resized to {result.width} x {result.height} pixels, the size of the result.")
    return fidelity.against(result.on_white(), reference.resized(result.width, result.height).on_white())


def _same_part(reference: Picture, part: PhotoPart) -> Picture:
    """Where the part lies on a reference of any size and the photo's shape."""
    across, down = reference.width / part.whole.width, reference.height / part.whole.height
    width, height = max(1, round(across * part.width)), max(1, round(down * part.height))
    left, top = (
        min(round(across * part.left), reference.width - width),
        min(round(down * part.top), reference.height - height),
    )
    return reference.cropped(left, top, width, height)
