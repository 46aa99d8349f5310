"""Pickles as NVlabs' EDM code writes them, made without that code.

Modules are written as calls of the loader's own name, with the source of their classes
and their attributes; the name has to be importable while a pickle is written.
"""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from ops.initialise import initialise
from ops.purify.song_unet import SongUnet, SongUnetSettings

ARGUMENTS: dict[str, Any] = {
    "img_resolution": 8,
    "img_channels": 1,
    "label_dim": 0,
    "model_type": "SongUNet",
    "model_channels": 8,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [4],
    "resample_filter": [1, 1],
    "sigma_data": 0.7,
    "sigma_max": float("inf"),
    "dropout": 0.13,
    "augment_dim": 9,
    "use_fp16": False,
}
OF_NETWORK = (
    "img_resolution",
    "img_channels",
    "label_dim",
    "model_channels",
    "channel_mult",
    "num_blocks",
    "attn_resolutions",
    "resample_filter",
)


def reconstruct(meta: Mapping[str, Any]) -> None:
    """Stand for the loader, which would run the source."""
    raise AssertionError(f"the source of {meta['class_name']} was run")


class EasyDict(dict):
    """Stand for the authors' dict."""


PLACES = {
    "torch_utils.persistence": {"_reconstruct_persistent_obj": reconstruct},
    "dnnlib.util": {"EasyDict": EasyDict},
}


class Persistent:
    """A module as it is pickled: a call of the loader with what describes it."""

    def __init__(self, class_name: str, source: str, **state: Any) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": state,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call of the loader."""
        return reconstruct, (self.meta,)


@contextmanager
def importable() -> Iterator[None]:
    """Let pickle find the names that it writes, and take them away again."""
    made = []
    try:
        for place, content in PLACES.items():
            parent = place.partition(".")[0]
            for name in (parent, place):
                made.append(name)
                sys.modules[name] = ModuleType(name)
            for name, value in content.items():
                value.__module__, value.__qualname__ = place, name
                value.__name__ = name
                setattr(sys.modules[place], name, value)
        yield
    finally:
        for name in made:
            sys.modules.pop(name, None)


def network(**changed: Any) -> SongUnet:
    """Return a small network with weights that follow from nothing but it."""
    said = {name: ARGUMENTS[name] for name in OF_NETWORK}
    return initialise(SongUnet(SongUnetSettings(**{**said, **changed})), 0, gain=0.5)


def as_pickled(module: nn.Module, source: str, **state: Any) -> Any:
    """Return a module and those within as the authors' code would pickle them."""
    inner = {name: as_pickled(child, source) for name, child in module.named_children()}
    attributes = {
        "training": False,
        "_parameters": OrderedDict(module._parameters),
        "_buffers": OrderedDict(module._buffers),
        "_non_persistent_buffers_set": set(),
        "_modules": OrderedDict(inner),
        "skip_scale": np.sqrt(0.5),
        **state,
    }
    if isinstance(module, nn.ModuleDict):
        container = nn.ModuleDict()
        container.__dict__.update(attributes)
        return container
    return Persistent(type(module).__name__, source, **attributes)


def write_edm_pickle(
    path: Path,
    *,
    source: str = "raise SystemExit",
    class_name: str = "EDMPrecond",
    beside: Mapping[str, Any] | None = None,
    lies: Mapping[str, Any] | None = None,
    **changed: Any,
) -> SongUnet:
    """Write a pickle of a small network and return the network.

    Args:
        path: where to.
        source: what the file says is the code of its classes.
        class_name: of the preconditioning.
        beside: further entries of the file.
        lies: arguments that the file gives, and with which nothing was made.
        changed: arguments of the preconditioning that are others.
    """
    inner = network(**{k: changed[k] for k in changed if not k.startswith("sigma_")})
    ema = Persistent(
        class_name,
        source,
        _init_args=(),
        _init_kwargs={**ARGUMENTS, **changed, **(lies or {})},
        _parameters=OrderedDict(),
        _buffers=OrderedDict(),
        _modules=OrderedDict(model=as_pickled(inner, source)),
    )
    with importable():
        said = EasyDict(path="data.zip")
        content = {**(beside or {}), "ema": ema, "dataset_kwargs": said}
        path.write_bytes(pickle.dumps(content))
    return inner
