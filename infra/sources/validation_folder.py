"""Folders that hold ImageNet's validation images side by side."""

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel

from infra.object_store import Store, open_store
from infra.sources.entry import Entry, checked, report_missing
from infra.sources.files import IMAGE_ENDINGS, Place, uri_of
from infra.sources.imagenet import VALIDATION_NAME, wordnet_ids
from infra.sources.locations import Location, read_locations

logger = logging.getLogger(__name__)


class ValidationFolder(BaseModel, frozen=True, extra="forbid"):
    """What layouts share whose images are ImageNet's validation files, side by side."""

    path: Place
    """Folder of the layout; local or ``s3://``."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``imagenet``."""

    @property
    def name(self) -> str:
        """Name under which results are reported."""
        return self.dataset or "imagenet"

    def classes(self, _entries: Sequence[Entry]) -> Sequence[str]:
        """Return the WordNet ids in class order."""
        return wordnet_ids()

    def locate(self, entry: Entry) -> Location:
        """Return the file of an image."""
        return Location(uri_of(open_store(self.path), entry.where))

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return the encoded images, in the order asked for."""
        return read_locations([self.locate(entry) for entry in entries])

    def reported(self, found: Sequence[Entry], num_labels: int) -> list[Entry]:
        """Return the entries, once what is missing was told and names are unique.

        Args:
            found: entries in the data set's order.
            num_labels: labels that the layout has.

        Raises:
            ValueError: two images have one name.
        """
        report_missing_images(len(found), num_labels, self.path)
        report_missing(found, self.classes(found), self.path)
        return checked(found, self.path)


def validation_images(
    store: Store, folder: str, *, asked_by: str
) -> list[tuple[int, str]]:
    """Return official number and name of each image of a folder, by number.

    Files that do not end like an image are left aside.

    Args:
        store: that holds the folder.
        folder: with its slash, or empty for the store itself.
        asked_by: the layout, for errors.

    Raises:
        ValueError: there is no image, or one is not named as the official ones are.
    """
    names = [n for n in store.names(folder) if n.lower().endswith(IMAGE_ENDINGS)]
    if not names:
        raise ValueError(
            f"{asked_by} needs ImageNet's validation images; {store.url}/{folder} has "
            f"no image file. Set data.path."
        )
    images = []
    for name in names:
        inside = name.removeprefix(folder)
        official = VALIDATION_NAME.fullmatch(PurePosixPath(inside).stem)
        if official is None or "/" in inside:
            raise ValueError(
                f"{asked_by} needs images named like ILSVRC2012_val_00000001.JPEG in "
                f"one folder; {store.url}/{folder} has {inside!r}. Move it elsewhere, "
                f"or take layout class_folders for images in folders by class."
            )
        images.append((int(official[1]), name))
    return sorted(images)


def report_missing_images(num_there: int, num_labels: int, place: str) -> None:
    """Log how many images have a label and are not there.

    Args:
        num_there: images.
        num_labels: labels.
        place: what to call the data set.
    """
    if num_there < num_labels:
        logger.warning(
            "%s has %d of the %d images that have a label. Accuracies are over those "
            "that are there.",
            place,
            num_there,
            num_labels,
        )
