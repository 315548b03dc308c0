"""A GPU that is not there: its tensors say that they lie on another device, and compute on the CPU.

Two devices do not mix in one operation, as on a real GPU, and all that is done there has the numbers it has on the CPU:
a recipe that forgets to bring something along fails, and one that loses something on the way comes to other weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

from engine.train import loop, placing
from engine.train.loop import Recipe

GPU = torch.device("meta")  # whose name they borrow
_aten = torch.ops.aten
_ACROSS = {_aten.copy_.default, _aten._to_copy.default}  # what brings numbers from one device to the other
_INDEXING = {_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default}  # there by indices on the CPU
_STRICT = {_aten.cat.default, _aten.stack.default}  # others take a single number from the CPU


class There(Tensor):
    """A tensor on the GPU; `numbers` has what is in it."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> There:
        made: There = Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            layout=real.layout,
            device=GPU,
        )
        made.numbers = real
        return made

    def __repr__(self, **_: Any) -> str:
        return f"There({self.numbers!r})"

    def tolist(self) -> Any:
        return self.numbers.tolist()

    def new_tensor(self, data: Any, **how: Any) -> Tensor:
        return There(self.numbers.new_tensor(data, **how))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.numbers.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _done(func, args, kwargs or {})


class _Machine(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _done(func, args, kwargs or {})


def _done(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    _check(func, given)
    wanted = kwargs.get("device")
    there = any(isinstance(t, There) for t in given) if wanted is None else torch.device(wanted) == GPU
    real_args, real_kwargs = tree_map_only(There, lambda t: t.numbers, (args, kwargs))
    if wanted is not None:
        real_kwargs = real_kwargs | {"device": "cpu"}
    if func is _aten.copy_.default:
        real_args[0].copy_(*real_args[1:])
        return args[0]
    made = func(*real_args, **real_kwargs)
    if func is _aten._conj.default:
        made = made.resolve_conj()  # a wrapper cannot say that its numbers are yet to be conjugated
    if not there:
        return made
    made = tree_map_only(Tensor, lambda t: t if isinstance(t, There) else There(t), made)
    return return_and_correct_aliasing(func, args, kwargs, made)


def _check(func: Any, given: list[Tensor]) -> None:
    if func in _ACROSS or not any(isinstance(t, There) for t in given):
        return
    held = given[:1] if func in _INDEXING else given
    if any(not isinstance(t, There) and (t.dim() or func in _STRICT) for t in held):
        raise RuntimeError(f"{func} mixes devices: {[(t.device.type, tuple(t.shape)) for t in given]}")


@contextmanager
def gpu() -> Iterator[None]:
    with _Machine():
        yield


def placed(recipe: Recipe) -> Recipe:
    """Moved there. Its optimizers follow: a parameter of another class is another object, while on a real GPU it stays
    the same.
    """
    places = {
        parameter: (part, name)
        for module in recipe.modules.values()
        for part in module.modules()
        for name, parameter in part.named_parameters(recurse=False)
    }
    loop.place(recipe, "cuda", "fp32")
    for optimizer in recipe.optimizers.values():
        for group in optimizer.param_groups:
            group["params"] = [getattr(*places[parameter]) for parameter in group["params"]]
    if hasattr(recipe, "_ahead"):  # its own thread has to be on the same machine
        recipe._ahead = ThreadPoolExecutor(1, initializer=_Machine().__enter__)
    return recipe


def _all_there(networks: Iterable[nn.Module]) -> bool:
    return all(isinstance(t, There) for network in networks for t in (*network.parameters(), *network.buffers()))


def trains_there_as_here(
    make: Callable[[], Recipe], folder: Path, monkeypatch: pytest.MonkeyPatch, stops: Sequence[int] = (2,)
) -> None:
    """A recipe's training on the GPU, stopped and gone on with, has the rows, samples and weights that it has on the
    CPU.
    """
    here = make()
    rows = list(loop.train(here, folder / "here", log_every=1, sample_every=stops[-1], stop_at=stops[-1]))
    formats: set[str] = set()
    real = torch.autocast

    def autocast(kind: str, *values: Any, **named: Any) -> Any:
        formats.add(kind)
        return nullcontext() if kind == GPU.type else real(kind, *values, **named)

    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(placing, "chosen", lambda *_: (GPU, torch.float32))
    with gpu():
        for stop in stops:
            there = placed(make())
            assert _all_there(placing.networks_of(there))
            formats.clear()
            found = list(loop.train(there, folder / "there", log_every=1, sample_every=stops[-1], stop_at=stop))
            assert _all_there(there.modules.values())
    assert "cpu" not in formats
    untimed = [[{k: v for k, v in row.items() if k != "seconds"} for row in both] for both in (rows, found)]
    assert untimed[0][-len(found) :] == untimed[1]
    ours, theirs = (load_file(folder / place / f"{here.name}.safetensors") for place in ("there", "here"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    samples = f"samples/{stops[-1]:07d}.png"
    assert (folder / "there" / samples).read_bytes() == (folder / "here" / samples).read_bytes()
