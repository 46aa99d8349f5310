"""The layouts of files that a data set may come in."""

import typing

from infra.sources.cifar10_binary import Cifar10Binary
from infra.sources.class_folders import ClassFolders
from infra.sources.flat_devkit import FlatDevkit
from infra.sources.hf_parquet import HfParquet
from infra.sources.imagenet64_npz import Imagenet64Npz
from infra.sources.kaggle import Kaggle
from infra.sources.webdataset import WebDataset

Layout = (
    ClassFolders
    | FlatDevkit
    | Kaggle
    | HfParquet
    | WebDataset
    | Cifar10Binary
    | Imagenet64Npz
)
"""What can be listed, read, and written down in a manifest."""

LAYOUTS: dict[str, type[Layout]] = {
    layout.model_fields["source"].default: layout for layout in typing.get_args(Layout)
}
"""Descriptions by their name in a recipe and on the command line."""
