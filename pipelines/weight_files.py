"""Where weights are: files, the hub's cache, or what a training recipe made."""

from collections.abc import Mapping
from pathlib import Path

from infra.weights.digest import digest
from infra.weights.hub import cached
from infra.weights.load import licence_of
from ops.weights import WeightsRef

Named = tuple[str, tuple[str, ...]]
"""A training recipe's name or path, and the settings applied to it."""


def found(reference: WeightsRef, trained: Mapping[Named, Path]) -> WeightsRef:
    """Return a reference to a file with its digest, wherever the weights come from.

    Args:
        reference: as written.
        trained: where the weights of training recipes are, by name and settings.

    Raises:
        ValueError: the file is another than the one whose sha256 is asked for, or
            licences differ.
        FileNotFoundError: it is not there.
    """
    if reference.untrained is not None:
        return reference
    path = _place(reference, trained)
    try:
        sha256 = digest(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"weights needs a file or folder; {path} has none. Correct "
            f"weights.path, or fetch the file to every node."
        ) from error
    if reference.sha256 not in (None, sha256):
        raise ValueError(
            f"weights needs the file with sha256 {reference.sha256}; {path} "
            f"has {sha256}. Take the file the recipe was written for, or drop sha256."
        )
    return WeightsRef(
        path=path,
        format=reference.format,
        sha256=sha256,
        licence=_licence(reference, path),
    )


def _place(reference: WeightsRef, trained: Mapping[Named, Path]) -> str:
    if reference.hub is not None:
        return str(cached(reference.hub, reference.revision))
    if reference.recipe is not None:
        return str(trained[reference.recipe, reference.settings])
    assert reference.path is not None  # one of the four is set, and three were handled
    return reference.path


def _licence(reference: WeightsRef, path: str) -> str | None:
    """Return the licence that the recipe or the file says, refused if they differ."""
    said = licence_of(path, reference.format)
    if None not in (said, reference.licence) and said != reference.licence:
        raise ValueError(
            f"weights needs one licence; the recipe has {reference.licence!r}, and "
            f"{path} has {said!r}. Drop weights.licence, or convert the file again."
        )
    return reference.licence or said
