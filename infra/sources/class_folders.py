"""Data sets as one folder of image files per class."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, PositiveInt

from infra.object_store import open_store
from infra.sources.entry import Entry, check_label, checked, report_missing
from infra.sources.files import IMAGE_ENDINGS, Place, uri_of
from infra.sources.imagenet import WORDNET_ID, class_indices, wordnet_ids
from infra.sources.locations import Location, read_locations

_NUMBER = re.compile(r"-?\d+")


class ClassFolders(BaseModel, frozen=True, extra="forbid"):
    """Image files in one folder per class; a key is the file's name without ending.

    The folders' names decide the class:

    * WordNet ids (``n01440764``): the id's index in the list of the 1,000 ImageNet
      classes, so that a part of the folders is numbered like all of them;
    * whole numbers (``0`` to ``999``): the number itself;
    * anything else: the position among the sorted names, from 0.

    Classes without an image are told, and change no other class's number. Files that
    do not end like an image are left aside.
    """

    source: Literal["class_folders"] = "class_folders"

    path: Place
    """Folder that holds the class folders; local or ``s3://``."""

    num_classes: PositiveInt | None = None
    """Classes that there are; ``None`` accepts what the folders say."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``imagenet`` with
    WordNet folders and ``class_folders`` otherwise."""

    @property
    def name(self) -> str:
        """Name under which results are reported; lists the folders where not set."""
        if self.dataset is not None:
            return self.dataset
        folder = self._images()[0].partition("/")[0]
        return "imagenet" if WORDNET_ID.fullmatch(folder) else "class_folders"

    def entries(self) -> list[Entry]:
        """List the images by class, then by name; opens none.

        Raises:
            ValueError: there is no image, an image lies in no class folder or too deep,
                a folder is no class, or two images have the same name.
        """
        names = self._images()
        indices = self._class_indices({name.partition("/")[0] for name in names})
        found = [
            Entry(Path(name).stem, indices[name.partition("/")[0]], name)
            for name in names
        ]
        found.sort(key=lambda entry: (entry.label, entry.where))
        report_missing(found, self.classes(found), self.path)
        return checked(found, self.path)

    def classes(self, entries: Sequence[Entry]) -> Sequence[str]:
        """Return the names of the classes in class order.

        Args:
            entries: all images; their folders say how classes are named.
        """
        folders = {entry.where.partition("/")[0]: entry.label for entry in entries}
        if WORDNET_ID.fullmatch(next(iter(folders))):
            return wordnet_ids()
        names = {label: folder for folder, label in folders.items()}
        num_classes = self.num_classes or max(names) + 1
        return [names.get(index, str(index)) for index in range(num_classes)]

    def locate(self, entry: Entry) -> Location:
        """Return the file of an image."""
        return Location(uri_of(open_store(self.path), entry.where))

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return the encoded images, in the order asked for."""
        return read_locations([self.locate(entry) for entry in entries])

    def _images(self) -> list[str]:
        """Return the names of the image files, ``folder/file``, sorted."""
        found = open_store(self.path).names()
        names = [name for name in found if name.lower().endswith(IMAGE_ENDINGS)]
        if not names:
            raise ValueError(
                f"class_folders needs image files; {self.path} has none that end in "
                f"{', '.join(IMAGE_ENDINGS)}. Set data.path."
            )
        for name in names:
            if name.count("/") != 1:
                raise ValueError(
                    f"class_folders needs folder/file below its path; {self.path} has "
                    f"{name!r}. Set data.path to the folder that holds the classes."
                )
        return names

    def _class_indices(self, folders: set[str]) -> Mapping[str, int]:
        """Return the class index of every folder."""
        if any(_NUMBER.fullmatch(folder) for folder in folders):
            indices = _numbered_indices(folders, self.path)
        elif any(WORDNET_ID.fullmatch(folder) for folder in folders):
            indices = _wordnet_indices(folders, self.path)
        else:
            self._check_complete(folders)
            indices = {folder: index for index, folder in enumerate(sorted(folders))}
        for folder, index in indices.items():
            limit = index + 1 if self.num_classes is None else self.num_classes
            check_label(index, limit, where=f"folder {folder!r} of {self.path}")
        return indices

    def _check_complete(self, folders: set[str]) -> None:
        """Refuse named folders whose positions are not their classes."""
        if self.num_classes not in (None, len(folders)):
            raise ValueError(
                f"class_folders needs all {self.num_classes} folders to number them by "
                f"their sorted names; {self.path} has {len(folders)}. Add the missing "
                f"folders, or name them by class index."
            )


def _numbered_indices(folders: set[str], path: str) -> dict[str, int]:
    for folder in sorted(folders):
        if not _NUMBER.fullmatch(folder):
            raise ValueError(
                f"class_folders needs class numbers once one folder has one; {path} "
                f"has {folder!r}. Move it elsewhere."
            )
    return {folder: int(folder) for folder in folders}


def _wordnet_indices(folders: set[str], path: str) -> dict[str, int]:
    known = class_indices()
    for folder in sorted(folders):
        if folder not in known:
            raise ValueError(
                f"class_folders needs ImageNet's WordNet ids once one folder has one; "
                f"{path} has {folder!r}, which is none of the {len(known)}. "
                f"Move it elsewhere."
            )
    return {folder: known[folder] for folder in folders}
