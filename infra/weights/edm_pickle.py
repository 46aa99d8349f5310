"""Pickles of NVlabs' EDM code, read without running anything in them.

Such a file holds modules together with the source of their classes, which its authors'
loader executes. Here the source is never looked at: modules are their attributes.
"""

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from infra.weights.edm_globals import ALLOWED, Container, Module, Pickled
from infra.weights.edm_settings import POSITIONS, PRECONDITIONING, config_of
from infra.weights.pickle_globals import DAMAGE

AVERAGE = "ema"
"""Key of the network in such a file: an average over training."""

MARK = b"torch_utils.persistence"
"""What every such file says near its beginning."""

HEAD = 1 << 16
"""Bytes of a file in which the mark is looked for."""


class _Unwanted(pickle.UnpicklingError):
    """A pickle names something that no tensor or module needs."""


class _Reader(pickle.Unpickler):
    """Puts a pickle together from stand-ins, and refuses all other names."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in ALLOWED:
            raise _Unwanted(name)
        return ALLOWED[name]


def is_edm_pickle(path: Path) -> bool:
    """Return whether a file says that it is a pickle of EDM's code.

    Args:
        path: any file.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return head.startswith(b"\x80") and MARK in head


def read_edm_pickle(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the averaged network of an EDM file and what the file says of it.

    Args:
        path: pickle of a dict whose ``ema`` is a preconditioned network.

    Returns:
        Tensors by the authors' names; settings as ``config_of`` gives them.

    Raises:
        ValueError: the file wants to run code, is damaged, or holds another network.
    """
    content = _unpickled(path)
    network = content.get(AVERAGE) if isinstance(content, dict) else None
    if not isinstance(network, Module):
        raise _no_network(path, f"no module as its {AVERAGE!r}")
    if network.name != PRECONDITIONING:
        raise _no_network(path, f"a {network.name}")
    try:
        tensors = dict(_tensors(network.state, "", set()))
        arguments = _arguments(network.state)
    except DAMAGE as error:
        raise _damaged(path, f"cannot be read ({_reason(error)})") from error
    return tensors, config_of(arguments, str(path))


def _unpickled(path: Path) -> object:
    try:
        with path.open("rb") as file:
            return _Reader(file).load()
    except (*DAMAGE, MemoryError, OverflowError) as error:
        raise _damaged(path, _complaint(error)) from error


def _complaint(error: Exception) -> str:
    # torch says of a nested pickle "Unsupported global: GLOBAL os.system was not ...".
    nested = re.search(r"GLOBAL (\S+)", str(error))
    if isinstance(error, _Unwanted) or nested:
        return f"wants to run {nested[1] if nested else error}"
    return f"cannot be read ({_reason(error)})"


def _reason(error: Exception) -> str:
    nested = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
    told = nested[1] if nested else str(error)
    return (told or type(error).__name__).partition("\n")[0]


def _damaged(path: Path, found: str) -> ValueError:
    return ValueError(
        f"A pickle of EDM's code needs to hold modules, tensors and plain values only; "
        f"{path} {found}. Fetch it again from its authors, or take another file."
    )


def _no_network(path: Path, found: str) -> ValueError:
    return ValueError(
        f"A pickle of EDM's code needs a network of class {PRECONDITIONING} as its "
        f"{AVERAGE!r}; {path} has {found}. Take another file."
    )


def _tensors(
    state: Mapping[str, Any], prefix: str, seen: set[int]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield parameters and buffers of a module and of those within, by dotted name."""
    for part in ("_parameters", "_buffers"):
        for name, found in state[part].items():
            if found is not None:
                yield f"{prefix}{name}", _expected(found, Pickled).tensor
    for name, module in state["_modules"].items():
        if module is None:
            continue
        inner = _expected(module, Module | Container)
        if id(inner) in seen:
            raise ValueError(f"{prefix}{name} is there twice")
        seen.add(id(inner))
        yield from _tensors(inner.state, f"{prefix}{name}.", seen)


def _expected(found: object, kind: Any) -> Any:
    if not isinstance(found, kind):
        raise ValueError(f"a {type(found).__name__} where a module's part should be")
    return found


def _arguments(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the network was made with, by name, in plain values."""
    positional = dict(zip(POSITIONS, state["_init_args"], strict=False))
    return {
        name: _plain(value, name)
        for name, value in {**positional, **state["_init_kwargs"]}.items()
    }


def _plain(value: object, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}")
