"""Data sets as one folder of image files per class."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, PositiveInt

from infra.object_store import open_store
from infra.sources.entry import Entry, check_label, checked

_ENDINGS = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_WORDNET_ID = re.compile(r"n\d{8}")


class ClassFolders(BaseModel, frozen=True, extra="forbid"):
    """Image files in one folder per class; a key is the file's name without ending.

    The folders' names decide the class:

    * WordNet ids (``n01440764``): the id's index in the list of the 1,000 ImageNet
      classes, so that a part of the folders is numbered like all of them;
    * whole numbers (``0`` to ``999``): the number itself;
    * anything else: the position among the sorted names, from 0.

    The WordNet list is the file ``timm/data/_info/imagenet_synsets.txt`` of the
    installed timm, found without importing timm. Files that do not end like an image
    are left aside.
    """

    source: Literal["class_folders"] = "class_folders"

    path: str
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
        return "imagenet" if _WORDNET_ID.fullmatch(folder) else "class_folders"

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
        return checked(found, self.path)

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return the encoded images, in the order asked for."""
        store = open_store(self.path)
        return [store.read(entry.where) for entry in entries]

    def _images(self) -> list[str]:
        """Return the names of the image files, ``folder/file``, sorted."""
        found = open_store(self.path).names()
        names = [name for name in found if name.lower().endswith(_ENDINGS)]
        if not names:
            raise ValueError(
                f"class_folders needs image files; {self.path} has none that end in "
                f"{', '.join(_ENDINGS)}. Set data.path."
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
        if all(folder.isdecimal() for folder in folders):
            indices = {folder: int(folder) for folder in folders}
        elif any(_WORDNET_ID.fullmatch(folder) for folder in folders):
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


def _wordnet_indices(folders: set[str], path: str) -> dict[str, int]:
    known = {wordnet_id: index for index, wordnet_id in enumerate(_wordnet_ids())}
    for folder in sorted(folders):
        if folder not in known:
            raise ValueError(
                f"class_folders needs ImageNet's WordNet ids once one folder has one; "
                f"{path} has {folder!r}, which is none of the {len(known)}. "
                f"Move it elsewhere."
            )
    return {folder: known[folder] for folder in folders}


def _wordnet_ids() -> list[str]:
    """Return the WordNet ids of the 1,000 ImageNet classes in class order."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        raise ValueError(
            "class_folders needs timm's list of ImageNet classes; timm is not "
            "installed. Install timm."
        )
    listed = Path(spec.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
    return listed.read_text().split()
