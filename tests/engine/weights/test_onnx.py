"""The reader of ONNX files: what it reads, and that nothing in a file can make it do more than refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hub import onnx_field, onnx_model, onnx_tensor, onnx_varint

from engine.weights import onnx as module
from engine.weights.onnx import initialisers, parse

RAW = onnx_field(9, torch.tensor([1.0, -2.0, 0.5]).numpy().tobytes())
NAME = onnx_field(8, b"a")
FLOAT = onnx_field(2, 1)
DIMS = onnx_field(1, 3)


def floats(*values: float) -> bytes:
    return torch.tensor(values, dtype=torch.float32).numpy().tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3, 3, 3)])
def test_what_is_written_is_read(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (100 * torch.randn(shape)).to(dtype)
    found = parse(onnx_model(onnx_tensor("first", tensor), onnx_tensor("second.weight", -tensor)))
    assert list(found) == ["first", "second.weight"]
    torch.testing.assert_close(found["first"], tensor, rtol=0, atol=0)
    torch.testing.assert_close(found["second.weight"], -tensor, rtol=0, atol=0)
    found["first"].zero_()  # a copy of its own, not the file


@pytest.mark.parametrize(
    "data",
    [
        onnx_field(4, floats(1, -2, 0.5)),
        onnx_field(4, floats(1)) + onnx_field(4, floats(-2, 0.5)),
        b"".join(onnx_varint(4 << 3 | 5) + floats(value) for value in (1, -2, 0.5)),
    ],
    ids=["packed", "in pieces", "one by one"],
)
@pytest.mark.parametrize("dims", [DIMS, onnx_field(1, b"\x03")], ids=["one by one", "packed"])
def test_numbers_may_be_written_in_each_of_protobufs_ways(data: bytes, dims: bytes) -> None:
    assert parse(onnx_model(data + FLOAT + dims + NAME))["a"].tolist() == [1, -2, 0.5]


def test_a_graph_without_tensors_has_none() -> None:
    assert parse(onnx_model()) == {}


def test_unknown_fields_of_every_kind_are_stepped_over() -> None:
    unknown = (
        onnx_field(90, 1 << 60)
        + onnx_field(91, b"\xff" * 9)
        + onnx_varint(92 << 3 | 1)
        + b"\xff" * 8
        + onnx_varint(93 << 3 | 5)
        + b"\xff" * 4
    )
    assert parse(unknown + onnx_model(unknown + DIMS + FLOAT + NAME + RAW + unknown) + unknown)["a"].shape == (3,)


def test_depth_costs_nothing() -> None:
    nested = b""
    for _ in range(2000):
        nested = onnx_field(7, nested)
    assert parse(nested) == {}


HOSTILE = {
    "an empty file": b"",
    "no graph": onnx_field(1, 3),
    "two graphs": onnx_model() + onnx_field(7, b""),
    "a graph that is a number": onnx_field(7, 7),
    "a tensor that is a number": onnx_field(7, onnx_field(5, 5)),
    "a sparse tensor": onnx_field(7, onnx_field(15, b"")),
    "a number that does not end": b"\xff" * 20,
    "a number that is cut off": onnx_model() + b"\x80",
    "a length beyond the end": onnx_varint(7 << 3 | 2) + onnx_varint(5) + b"abcd",
    "a length of 2^63": onnx_varint(7 << 3 | 2) + onnx_varint(1 << 63) + b"abcd",
    "a fixed number cut off": onnx_model() + onnx_varint(9 << 3 | 1) + b"abc",
    "a group": onnx_model() + onnx_varint(9 << 3 | 3) + onnx_varint(9 << 3 | 4),
    "a wire type of none": onnx_model() + onnx_varint(9 << 3 | 7),
    "the same name twice": onnx_model(*2 * [DIMS + FLOAT + NAME + RAW]),
    "no name": onnx_model(DIMS + FLOAT + RAW),
    "two names": onnx_model(DIMS + FLOAT + NAME + NAME + RAW),
    "a name that is no text": onnx_model(DIMS + FLOAT + onnx_field(8, b"\xff\xfe") + RAW),
    "no data": onnx_model(DIMS + FLOAT + NAME),
    "data twice": onnx_model(DIMS + FLOAT + NAME + RAW + RAW),
    "raw and typed data": onnx_model(DIMS + FLOAT + NAME + RAW + onnx_field(4, floats(1, 2, 3))),
    "typed data of another type": onnx_model(DIMS + onnx_field(2, 10) + NAME + onnx_field(4, bytes(6))),
    "typed data as a number": onnx_model(DIMS + FLOAT + NAME + onnx_field(4, 3)),
    "no type": onnx_model(DIMS + NAME + RAW),
    "two types": onnx_model(DIMS + FLOAT + FLOAT + NAME + RAW),
    "a type as text": onnx_model(DIMS + onnx_field(2, b"\x01") + NAME + RAW),
    "strings": onnx_model(onnx_field(1, 1) + onnx_field(2, 8) + NAME + onnx_field(6, b"text")),
    "doubles": onnx_model(DIMS + onnx_field(2, 11) + NAME + onnx_field(9, bytes(24))),
    "too little data": onnx_model(onnx_field(1, 4) + FLOAT + NAME + RAW),
    "too much data": onnx_model(onnx_field(1, 2) + FLOAT + NAME + RAW),
    "data that ends inside a number": onnx_model(DIMS + FLOAT + NAME + onnx_field(9, bytes(11))),
    "no data for an empty side": onnx_model(onnx_field(1, 0) + FLOAT + NAME + onnx_field(9, b"")),
    "sides that overflow to 0": onnx_model(2 * onnx_field(1, 1 << 32) + FLOAT + NAME + onnx_field(9, b"")),
    "a side of -1": onnx_model(onnx_field(1, (1 << 64) - 1) + FLOAT + NAME + RAW),
    "two sides of -1": onnx_model(2 * onnx_field(1, (1 << 64) - 1) + FLOAT + NAME + onnx_field(9, floats(1))),
    "ten thousand sides": onnx_model(10_000 * onnx_field(1, 1) + FLOAT + NAME + onnx_field(9, floats(1))),
    "as many, packed": onnx_model(onnx_field(1, 10_000 * b"\x01") + FLOAT + NAME + onnx_field(9, floats(1))),
    "data in another file": onnx_model(
        DIMS
        + FLOAT
        + NAME
        + onnx_field(13, onnx_field(1, b"location") + onnx_field(2, b"/etc/passwd"))
        + onnx_field(14, 1)
    ),
    "data said to be elsewhere": onnx_model(DIMS + FLOAT + NAME + RAW + onnx_field(14, 1)),
    "a part of a tensor": onnx_model(DIMS + FLOAT + NAME + RAW + onnx_field(3, b"")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(HOSTILE[what])


def test_a_file_cut_off_anywhere_is_refused() -> None:
    whole = onnx_model(onnx_tensor("a", torch.zeros(3)))
    assert parse(whole)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            parse(whole[:length])


def test_no_changed_bit_does_more_than_refuse() -> None:
    whole = onnx_model(onnx_tensor("a", torch.zeros(2, 1)), onnx_tensor("b", torch.zeros(2, dtype=torch.int64)))
    for position in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[position // 8] ^= 1 << position % 8
        try:
            found = parse(bytes(changed))
        except ValueError:
            continue
        assert sum(tensor.numel() for tensor in found.values()) <= 4


def test_a_file_too_long_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as stream:
        stream.truncate(module.MOST_BYTES + 1)
    with pytest.raises(ValueError, match="bytes is not read"):
        initialisers(tmp_path / "model.onnx")


def test_a_file_of_nothing_but_small_fields_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FIELDS", 1000)
    with pytest.raises(ValueError, match="more than 1000 fields"):
        parse(1001 * onnx_field(1, 3) + onnx_model())
