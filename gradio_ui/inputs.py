"""Places for files on the page, and what arrives in them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_upload_folder

from engine.contract import RequestError
from gradio_ui.example_pictures import EXAMPLES
from gradio_ui.sentences import spoken
from gradio_ui.wiring import Sent
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

_HIDDEN_BY_BROWSERS = ("HEIC", "TIFF")  # formats that most browsers show as a broken picture

_RGB = re.compile(r"rgba?\(([\d.]+), *([\d.]+), *([\d.]+)")


def photo_input(studio: Studio, word: str, *, height: int, elem_id: str) -> gr.Image:
    """A place for a photo: dropped, pasted or taken. What is dropped is looked at as soon as it is there."""
    place = gr.Image(
        label=said(word),
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        buttons=["fullscreen"],
        placeholder=str(said("drop")),
        height=height,
        elem_id=elem_id,
    )
    place.upload(
        lambda sent: received(studio, sent),
        place,
        place,
        preprocess=False,
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    return place


def received(studio: Studio, sent: Any) -> Any:
    """What stands in the place of a file that has arrived: the file, a copy that browsers can show, or nothing with the
    reason.
    """
    try:
        file = uploaded(sent, "photo")
        if not file or studio.check(file).format not in _HIDDEN_BY_BROWSERS:
            return gr.skip()
        picture = studio.load(file)
        copy = Path(file).with_suffix(".png")
        picture.pil().save(copy, compress_level=1, exif=picture.exif or b"")
        return str(copy)
    except RequestError as error:
        gr.Warning(html.escape(str(error), quote=False), title="Vitrine")
        return None
    except Exception as error:
        raise spoken(error) from None


def reset_with(photo: gr.Image, values: Mapping[Any, Any]) -> None:
    """Give components these values, or `gr.update`s, when the photo changes.

    The browser does it alone, at once: a server's answer could come after that of a button which was pressed meanwhile,
    and undo it.
    """
    told = json.dumps(list(values.values()) if len(values) > 1 else next(iter(values.values())))
    photo.change(None, None, list(values), js=f"() => ({told})", api_visibility="private")


# A copy that takes the place of a file which browsers cannot show has the file's name, and is the same photo.
_GOES_WITH = """(photo, held) => {{
  const before = (window.vitrineOf ??= {{}})[{key}] ?? "";
  const now = (photo?.path ?? "").replace(/\\.[^.\\/]*$/, "");
  window.vitrineOf[{key}] = now;
  return before && before !== now ? {empty} : held;
}}"""


def goes_with(photo: gr.Image, component: Any, empty: Any) -> None:
    """Give a component the value `empty` when the photo that it was meant for goes; what it was given while there was
    none is for the next one.

    In the browser alone, as `reset_with`.
    """
    js = _GOES_WITH.format(key=component._id, empty=json.dumps(empty))
    photo.change(None, [photo, component], component, js=js, api_visibility="private")


def colour_of(picker: Any) -> Any:
    """What a colour picker holds, as #rrggbb: it may say rgb(r, g, b) or rgba(r, g, b, a).

    Anything else is for the request to refuse.
    """
    found = _RGB.match(picker) if isinstance(picker, str) else None
    return "#" + "".join(f"{min(255, round(float(level))):02x}" for level in found.groups()) if found else picker


def uploaded(file: Sent, name: str) -> str | None:
    """The path of an upload, or of an example; None when there is none. RequestError for a path of anything else.

    Gradio checks the paths that it recognises as files; this also refuses what it did not recognise.
    """
    if not file:
        return None
    path = file.get("path") if isinstance(file, Mapping) else None
    if isinstance(path, str) and any(
        Path(path).resolve().is_relative_to(Path(home).resolve()) for home in (get_upload_folder(), EXAMPLES)
    ):
        return path
    raise RequestError(f"The {name} must be an uploaded file, not a path or an address.")
