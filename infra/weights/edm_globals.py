"""What stands in for every name that a pickle of EDM may call; nothing is imported.

The pickle's own instructions can only put these together. They hold tensors and plain
values, run nothing of the file's, and cannot be changed by it.
"""

import io
import math
import pickle
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

NUMBERS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "b1": "?"}
"""Types of numpy that a single number may have, as struct spells them."""


class _Fixed:
    """What a pickle may pass on and call, but not change."""

    def __setstate__(self, state: object) -> None:
        """Refuse what a pickle would set."""
        raise pickle.UnpicklingError(f"{type(self).__name__} has no state to set")


@dataclass(frozen=True)
class _Function(_Fixed):
    run: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.run(*arguments)


@dataclass(frozen=True)
class _Storage(_Fixed):
    values: torch.Tensor


@dataclass(frozen=True)
class Pickled(_Fixed):
    """A tensor or parameter of the file."""

    tensor: torch.Tensor
    """Its values, on the CPU."""


@dataclass(frozen=True)
class Module(_Fixed):
    """A module of the authors' code: its class by name, and its attributes."""

    name: str
    """Of the class."""

    state: Mapping[str, Any]
    """Attributes by name."""


class Container:
    """A ModuleDict or ModuleList of PyTorch, by its attributes."""

    def __init__(self) -> None:
        self.state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        """Keep the attributes."""
        self.state = _mapping(state, "attributes of a container")


class Settings(dict):
    """A dict whose entries the authors' code reads as attributes."""

    def __setstate__(self, state: object) -> None:
        """Refuse what a pickle would set beside the entries."""
        raise pickle.UnpicklingError("a dict of settings has no state to set")


class _NumberType:
    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _number(kind: _NumberType, content: bytes) -> Any:
    if kind.code not in NUMBERS:
        raise pickle.UnpicklingError(f"a number of numpy's type {kind.code!r}")
    return struct.unpack(kind.order + NUMBERS[kind.code], content)[0]


def _module(meta: object) -> Module:
    said = _mapping(meta, "the description of a module")
    state = _mapping(said["state"], "attributes of a module")
    return Module(str(said["class_name"]), state)


def _mapping(found: object, what: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise pickle.UnpicklingError(f"{what} are a {type(found).__name__}")
    return found


def _storage(content: bytes) -> _Storage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pickles it then refuses
        storage: Any = torch.load(io.BytesIO(content), "cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError(f"a storage is a {type(storage).__name__}")
    return _Storage(torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage))


def _tensor(storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> Any:
    """Return the tensor that lies in a storage, refused if it reaches beyond."""
    values = storage.values
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    numel = math.prod(size)  # exact, where torch's own may overflow
    inside = min((offset, *size, *stride), default=0) >= 0 and numel <= len(values)
    if not inside or (numel and last >= len(values)):
        raise pickle.UnpicklingError(
            f"a tensor of size {size} reaches beyond its storage of {len(values)}"
        )
    return Pickled(values.as_strided(size, stride, offset).clone())


def _parameter(tensor: Pickled, *_: object) -> Pickled:
    return Pickled(tensor.tensor)


ALLOWED: dict[str, Any] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _Function(_module),
    "dnnlib.EasyDict": Settings,
    "dnnlib.util.EasyDict": Settings,
    "torch._utils._rebuild_tensor_v2": _Function(_tensor),
    "torch._utils._rebuild_parameter": _Function(_parameter),
    "torch.storage._load_from_bytes": _Function(_storage),
    "torch.nn.modules.container.ModuleDict": Container,
    "torch.nn.modules.container.ModuleList": Container,
    "collections.OrderedDict": dict,
    "builtins.set": set,
    "numpy.dtype": _Function(_NumberType),
    "numpy.core.multiarray.scalar": _Function(_number),
    "numpy._core.multiarray.scalar": _Function(_number),
}
"""Stand-ins by the names that EDM's files use; whatever else is named is refused."""
