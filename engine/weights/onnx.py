"""The tensors in an ONNX file, read without its graph and without the onnx package.

ONNX is protobuf (onnx.proto, "IR" of the ONNX project): a ModelProto holds a GraphProto, which holds a TensorProto for
each initialiser. Only these three messages are read, so nothing nests and nothing is run; all else is stepped over by
its length. What a file claims is never believed beyond the bytes that it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 1 << 26  # ten times the largest file of the table; a longer one would only take time to refuse
_MOST_FIELDS = 1 << 20  # of one message
_MOST_DIMS = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4, groups, are not in ONNX
_GRAPH = 7  # of ModelProto
_INITIALISER, _SPARSE = 5, 15  # of GraphProto
_DIMS, _TYPE, _SEGMENT, _FLOATS, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 3, 4, 8, 9, 13, 14  # of TensorProto
_TYPES = {1: "<f4", 7: "<i8", 10: "<f2"}  # TensorProto.DataType: float, int64, float16, all little-endian

_Value = int | memoryview
_Fields = dict[int, list[_Value]]


def initialisers(file: Path) -> dict[str, Tensor]:
    """name -> tensor (float32, float16 or int64, on the CPU) of every initialiser in the graph.

    Raises ValueError for all that is no ONNX file, is damaged, lies in other files, or has another type.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"an ONNX file of more than {MOST_BYTES} bytes is not read")
    return parse(file.read_bytes())


def parse(data: bytes) -> dict[str, Tensor]:
    """`initialisers` of a file that has these bytes."""
    import torch

    tensors: dict[str, Tensor] = {}
    for number, value in _fields(_only(_message(memoryview(data)), _GRAPH)):
        if number == _SPARSE:
            raise ValueError("sparse tensors are not read")
        if number == _INITIALISER:
            name, array = _tensor(_bytes(value))
            if name in tensors:
                raise ValueError(f"two tensors are called {name}")
            tensors[name] = torch.from_numpy(array)
    return tensors


def _tensor(data: memoryview) -> tuple[str, np.ndarray]:
    """Name and values of a TensorProto, copied out of the file."""
    message = _message(data)
    name = bytes(_only(message, _NAME)).decode()
    if _EXTERNAL in message or any(message.get(_LOCATION, ())):
        raise ValueError(f"{name} lies in another file")
    if _SEGMENT in message:
        raise ValueError(f"{name} is a part of a tensor")
    kept = _type(message.get(_TYPE, []), name)
    if _FLOATS in message and (_RAW in message or kept != np.dtype("<f4")):
        raise ValueError(f"{name} has its data twice, or as another type")
    # float_data comes in pieces or number by number, little-endian as raw_data is.
    content = b"".join(map(_bytes, message[_FLOATS])) if _FLOATS in message else _only(message, _RAW)
    dims = _dims(message.get(_DIMS, []), name)
    if math.prod(dims) * kept.itemsize != len(content):
        raise ValueError(f"{name} should have the shape {dims} and has {len(content)} bytes")
    return name, np.frombuffer(content, kept).astype(kept.newbyteorder("=")).reshape(dims)


def _type(values: list[_Value], name: str) -> np.dtype:
    if len(values) != 1 or not isinstance(kind := values[0], int) or kind not in _TYPES:
        raise ValueError(f"{name} has a type that is not read")
    return np.dtype(_TYPES[kind])


def _dims(values: list[_Value], name: str) -> list[int]:
    """The sides, each at least 1; how large they may be, the length of the data says."""
    dims: list[int] = []
    for value in values:
        dims += [value] if isinstance(value, int) else _varints(value)
        if len(dims) > _MOST_DIMS or 0 in dims:
            raise ValueError(f"{name} has an empty side, or more than {_MOST_DIMS} sides")
    return dims


def _message(data: memoryview) -> _Fields:
    """number -> values of a message's fields."""
    found: _Fields = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    return found


def _only(message: _Fields, number: int) -> memoryview:
    if len(values := message.get(number, [])) != 1:
        raise ValueError(f"field {number} is there {len(values)} times instead of once")
    return _bytes(values[0])


def _bytes(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where bytes should")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, _Value]]:
    """Number and value of each field: an int for a varint, otherwise its bytes."""
    at = count = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire, count = key & 7, count + 1
        if count > _MOST_FIELDS:
            raise ValueError(f"a message has more than {_MOST_FIELDS} fields")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"there is no wire type {wire} in ONNX")
        if length > len(data) - at:
            raise ValueError(f"{length} bytes should follow and {len(data) - at} do")
        yield key >> 3, data[at : at + length]
        at += length


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of 7 bits a byte, the lowest first, and where it ends; ten bytes hold 64 bits."""
    value = 0
    for k, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << (7 * k)
        if byte < 128:
            return value, at + k + 1
    raise ValueError("a number does not end")
