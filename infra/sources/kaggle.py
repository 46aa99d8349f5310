"""ImageNet's validation images as Kaggle's localization challenge brings them."""

import csv
import io
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.sources.files import Place, read_file
from infra.sources.imagenet import class_index, wordnet_ids
from infra.sources.validation_folder import ValidationFolder, validation_images

_SOLUTION = "LOC_val_solution.csv"
_MAPPING = "LOC_synset_mapping.txt"
_FOLDERS = "Data/CLS-LOC/val/", "ILSVRC/Data/CLS-LOC/val/"
_COLUMNS = "ImageId", "PredictionString"


class Kaggle(ValidationFolder, frozen=True, extra="forbid"):
    """``Data/CLS-LOC/val`` without folders inside, and ``LOC_val_solution.csv``.

    An image's class is the first word of its PredictionString, a WordNet id. A key is
    its ImageId, the official name.
    """

    source: Literal["kaggle"] = "kaggle"

    path: Place
    """Folder that holds ``LOC_val_solution.csv`` and ``Data`` or ``ILSVRC``, and maybe
    ``LOC_synset_mapping.txt``; local or ``s3://``."""

    def entries(self) -> list[Entry]:
        """List the images in the order of their names; opens none.

        Raises:
            ValueError: there is no image, one has another name or no row, a row names
                no class, or the mapping is not of ImageNet's classes.
        """
        store = open_store(self.path)
        labels = _read_solution(f"{store.url}/{_SOLUTION}")
        _check_mapping(store)
        folder = next(filter(store.exists, _FOLDERS), _FOLDERS[0])
        images = validation_images(store, folder, asked_by="kaggle")
        found = []
        for _, name in images:
            key = PurePosixPath(name).stem
            if key not in labels:
                raise ValueError(
                    f"kaggle needs a row for every image; {store.url}/{_SOLUTION} has "
                    f"none for {key!r}. Fetch the file again."
                )
            found.append(Entry(key, labels[key], name))
        return self.reported(found, len(labels))


def _read_solution(place: str) -> Mapping[str, int]:
    """Return the class index by image."""
    content = read_file(place, needed_as=f"kaggle needs {_SOLUTION}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"kaggle needs a text in UTF-8; {place} has {error}. Fetch the file again."
        ) from error
    rows = csv.DictReader(io.StringIO(text))
    if not set(_COLUMNS) <= set(rows.fieldnames or ()):
        raise ValueError(
            f"kaggle needs columns {' and '.join(_COLUMNS)}; {place} has "
            f"{rows.fieldnames}. Fetch the file again."
        )
    labels: dict[str, int] = {}
    for row in rows:
        key, prediction = (row[column] or "" for column in _COLUMNS)
        where = f"{place} line {rows.line_num}"
        if key in labels:
            raise ValueError(
                f"kaggle needs one row an image; {where} has {key!r} again. "
                f"Fetch the file again."
            )
        labels[key] = class_index((prediction.split() or [""])[0], where)
    return labels


def _check_mapping(store: Store) -> None:
    """Refuse a list of classes, where there is one, that is not ImageNet's."""
    if not store.exists(_MAPPING):
        return
    lines = store.read(_MAPPING).decode("utf-8").splitlines()
    listed = [line.split()[0] for line in lines if line.strip()]
    if sorted(listed) != sorted(wordnet_ids()):
        unknown = sorted(set(listed) - set(wordnet_ids()))
        raise ValueError(
            f"kaggle needs ImageNet's {len(wordnet_ids())} classes; "
            f"{store.url}/{_MAPPING} has {len(listed)}, of which {unknown[:3]} are "
            f"none of them. Fetch the file again."
        )
