"""What the runs of several OUTs are called where they stand beside each other."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pipelines.curve import IMPORTED, Curve

Item = TypeVar("Item")


@dataclass(frozen=True)
class Reported:
    """The curves of one OUT, called by their method where the recipe says it."""

    name: str
    """Of its recipe or log."""

    url: str
    """Where it lies."""

    curves: Sequence[Curve]
    """One per sigma."""

    @property
    def methods(self) -> set[str]:
        """Names of curves that a recipe gave them, other than its own."""
        return {curve.run for curve in self.curves} - {self.name}


def told_apart(outs: Sequence[Reported]) -> list[Curve]:
    """Return all curves, no two OUTs' under one name.

    A method names its curves if no other OUT is called so. Others are named by recipe,
    or by OUT where recipes are the same. Imported logs of one name and several sigmas
    stay one run, with an envelope.

    Args:
        outs: one or more.
    """
    names = _names_without_methods(outs)
    unclear = _repeated(method for out in outs for method in out.methods) | set(names)
    return [
        curve if curve.run in out.methods - unclear else replace(curve, run=name)
        for out, name in zip(outs, names, strict=True)
        for curve in out.curves
    ]


def _names_without_methods(outs: Sequence[Reported]) -> list[str]:
    if not _names_clash(outs):
        return [out.name for out in outs]
    folders = [out.url.rstrip("/").rsplit("/", 1)[-1] for out in outs]
    return folders if not _repeated(folders) else [out.url for out in outs]


def _names_clash(outs: Sequence[Reported]) -> bool:
    """Return whether OUTs share a name, other than one method's logs by sigma."""
    shared = _repeated(out.name for out in outs)
    named = [(out.name, curve) for out in outs for curve in out.curves]
    twice = {name for name, _ in _repeated((name, c.sigma) for name, c in named)}
    voted = {name for name, curve in named if curve.rule != IMPORTED}
    return bool(shared & (twice | voted))


def _repeated(items: Iterable[Item]) -> set[Item]:
    return {item for item, times in Counter(items).items() if times > 1}
