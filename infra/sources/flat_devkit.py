"""ImageNet's validation images in one folder, labelled by the devkit."""

from pathlib import PurePosixPath
from typing import Literal

from infra.object_store import open_store
from infra.sources.devkit import read_class_order, read_ground_truth
from infra.sources.entry import Entry
from infra.sources.files import Place, uri_of
from infra.sources.validation_folder import ValidationFolder, validation_images

_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_META = "meta.mat"


class FlatDevkit(ValidationFolder, frozen=True, extra="forbid"):
    """``ILSVRC2012_val_00000001.JPEG`` and its like, in a folder without folders.

    Image n of the name has line n of the ground truth, which numbers the classes in
    the devkit's own order; ``meta.mat`` turns them into WordNet ids. A key is the
    file's name without ending.
    """

    source: Literal["flat_devkit"] = "flat_devkit"

    path: Place
    """Folder of the images; local or ``s3://``."""

    devkit: Place
    """The unpacked ``ILSVRC2012_devkit_t12``, or any folder that holds
    ``ILSVRC2012_validation_ground_truth.txt`` and ``meta.mat``."""

    def entries(self) -> list[Entry]:
        """List the images in the order of their names; opens none.

        Raises:
            ValueError: there is no image, one has another name, the devkit is not
                whole, does not fit, or has no line for an image.
        """
        images = validation_images(open_store(self.path), "", asked_by="flat_devkit")
        folder = self._devkit_folder()
        order = read_class_order(f"{folder}{_META}")
        labels = read_ground_truth(f"{folder}{_TRUTH}", order)
        for number, name in images:
            if number > len(labels):
                raise ValueError(
                    f"flat_devkit needs a line of {_TRUTH} for every image; {name} is "
                    f"number {number} and {folder}{_TRUTH} has {len(labels)} lines. "
                    f"Fetch the devkit again: the official file has 50,000."
                )
        found = [
            Entry(PurePosixPath(name).stem, labels[number - 1], name)
            for number, name in images
        ]
        return self.reported(found, len(labels))

    def _devkit_folder(self) -> str:
        """Return the place of the devkit's two files, with a slash at the end."""
        store = open_store(self.devkit)
        for folder in ("", "data/", "ILSVRC2012_devkit_t12/data/"):
            if store.exists(f"{folder}{_TRUTH}") and store.exists(f"{folder}{_META}"):
                return uri_of(store, folder)
        raise ValueError(
            f"flat_devkit needs {_TRUTH} and {_META} in one folder; {self.devkit} and "
            f"its data/ lack one or both. Unpack ILSVRC2012_devkit_t12.tar.gz there, "
            f"or set data.devkit."
        )
