"""The door: picture files become float sRGB pixels and go back to files; nothing else converts between the two.

Whatever is wrong with a file becomes one sentence, as a `RequestError`. Nothing here imports torch before there are
pixels.
"""

from engine.image.arranged import ANIMATED, FRAME_MS, REST_MS, animate, grid, squared
from engine.image.door import Header, check, load, load_mask, luma_table, read_recipe
from engine.image.files import is_picture
from engine.image.picture import Picture
from engine.image.profiles import srgb_profile

__all__ = [
    "ANIMATED",
    "FRAME_MS",
    "REST_MS",
    "Header",
    "Picture",
    "animate",
    "check",
    "grid",
    "is_picture",
    "load",
    "load_mask",
    "luma_table",
    "read_recipe",
    "squared",
    "srgb_profile",
]
