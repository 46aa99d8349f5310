"""Files of a data set: which there are, and where they lie."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, TypeVar

from pydantic import BaseModel

from infra.object_store import Store, open_store

IMAGE_ENDINGS = (
    ".jpeg",
    ".jpg",
    ".png",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
"""How the names of image files end, whatever the case."""

_PLACE = "place"

Place = Annotated[str, _PLACE]
"""A description's field that names a file or a folder; local or ``s3://``."""

_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")

Description = TypeVar("Description", bound=BaseModel)


@dataclass(frozen=True)
class Found:
    """What a path means."""

    store: Store
    """Folder the names are relative to."""

    names: list[str]
    """Files that it means, sorted."""

    there: list[str]
    """Files of that kind that are there, sorted."""


def absolute(place: str) -> str:
    """Return a file, folder or pattern so that it means the same from anywhere."""
    return open_store(place).url


def with_absolute_places(description: Description) -> Description:
    """Return a description in which every :data:`Place` is absolute."""
    changed = {
        name: absolute(getattr(description, name))
        for name, field in type(description).model_fields.items()
        if _PLACE in field.metadata
    }
    return description.model_copy(update=changed)


def uri_of(store: Store, name: str) -> str:
    """Return the absolute place of a file of a store."""
    return f"{store.url.rstrip('/')}/{name}"


def split_file(place: str) -> tuple[Store, str]:
    """Return the store of a file's folder, and the file's name in it."""
    folder, slash, name = place.rpartition("/")
    return open_store(f"{folder}{slash}" or "."), name


def read_file(place: str, *, needed_as: str) -> bytes:
    """Return the content of one file.

    Args:
        place: local or ``s3://``.
        needed_as: who needs what, the start of an error.

    Raises:
        ValueError: it is not there.
    """
    store, name = split_file(place)
    try:
        return store.read(name)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(
            f"{needed_as}; there is no file {place}. Check the path."
        ) from error


def find(path: str, *, ending: str, inside: Sequence[str]) -> Found:
    """Return the files that a path means.

    Args:
        path: file; pattern with ``*``, or with numbers as ``{000..063}``, of which
            every one is meant; or folder.
        ending: how the files' names end.
        inside: patterns of the files a folder stands for.

    Raises:
        ValueError: a file that numbers name is not there.
    """
    store = folder_of(path, ending=ending)
    pattern = path.removeprefix(_folder(path, ending))
    patterns = _numbered(pattern) if pattern else inside
    prefix = patterns[0].partition("*")[0] if len(patterns) == 1 else ""
    there = [name for name in store.names(prefix) if name.endswith(ending)]
    exact = {pattern for pattern in patterns if "*" not in pattern}
    wild = [pattern for pattern in patterns if "*" in pattern]
    if _NUMBERS.search(path) and (missing := sorted(exact - set(there))):
        raise ValueError(
            f"{path} needs every file it names; {len(missing)} of {len(patterns)} are "
            f"not there, the first {missing[0]!r}. Fetch them, or name fewer."
        )
    chosen = [name for name in there if name in exact or _matches(name, wild)]
    return Found(store, chosen, there)


def folder_of(path: str, *, ending: str) -> Store:
    """Return the folder that the names found under a path are relative to.

    Args:
        path: as :func:`find` takes it.
        ending: how the files' names end.
    """
    return open_store(_folder(path, ending) or ".")


def _folder(path: str, ending: str) -> str:
    """Return the part of a path that is a folder, with its slash if a name follows."""
    if "*" not in path and not _NUMBERS.search(path) and not path.endswith(ending):
        return path
    folder, slash, _ = re.split(r"[*{]", path, maxsplit=1)[0].rpartition("/")
    return f"{folder}{slash}"


def _numbered(pattern: str) -> list[str]:
    """Return a pattern once per number of its ``{000..063}``."""
    numbers = _NUMBERS.search(pattern)
    if numbers is None:
        return [pattern]
    first, last = numbers.groups()
    before, after = pattern[: numbers.start()], pattern[numbers.end() :]
    return [
        f"{before}{number:0{len(first)}d}{after}"
        for number in range(int(first), int(last) + 1)
    ]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name fits a pattern; ``*`` does not reach over a slash."""
    path = PurePosixPath(name)
    return any(
        path.match(pattern) and len(path.parts) == len(PurePosixPath(pattern).parts)
        for pattern in patterns
    )
