"""Data sets as tar shards in the layout of WebDataset."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import BinaryIO, Literal

from pydantic import BaseModel, PositiveInt

from infra.object_store import Store
from infra.sources.entry import Entry, check_label, checked, report_missing
from infra.sources.files import Found, Place, find, folder_of, uri_of
from infra.sources.imagenet import VALIDATION_NAME
from infra.sources.locations import Location, read_locations
from infra.sources.tar_index import Member, tar_members

_ENDING = ".tar"
_IMAGE_PARTS = "jpg", "jpeg", "png"
_LABEL_PART = "cls"


class WebDataset(BaseModel, frozen=True, extra="forbid"):
    """Tar files in which an image, its label and more stand side by side.

    Members ``KEY.jpg`` (or ``.jpeg``, ``.png``) and ``KEY.cls``, the class index as
    text, make one image; other members of the key are left aside. A key is the
    member's, up to the first dot of its file name, or the official name of an ImageNet
    validation image without the folder before it. Images are read by their place in
    the shard; nothing is unpacked.
    """

    source: Literal["webdataset"] = "webdataset"

    path: Place
    """Tar file, pattern with ``*`` or ``{000..063}``, or folder of ``.tar`` files;
    local or ``s3://``."""

    num_classes: PositiveInt = 1000
    """Classes that there are; a label outside is refused."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``webdataset``."""

    @property
    def name(self) -> str:
        """Name under which results are reported."""
        return self.dataset or "webdataset"

    def entries(self) -> list[Entry]:
        """List the images in the order of the shards; reads labels and no image.

        Raises:
            ValueError: there is no shard, one is damaged, the members of a key do not
                stand together, or an image has no label or one that is no class.
        """
        shards = self._shards()
        found = [e for name in shards.names for e in self._list(shards.store, name)]
        checked(found, self.path)
        report_missing(found, self.classes(found), self.path)
        return found

    def classes(self, _entries: Sequence[Entry]) -> Sequence[str]:
        """Return the names of the classes in class order: their numbers."""
        return [str(index) for index in range(self.num_classes)]

    def locate(self, entry: Entry) -> Location:
        """Return the bytes of an image in its shard."""
        shard, offset, size = entry.where
        store = folder_of(self.path, ending=_ENDING)
        return Location(uri_of(store, shard), offset, size)

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return the encoded images, in the order asked for."""
        return read_locations([self.locate(entry) for entry in entries])

    def _shards(self) -> Found:
        found = find(self.path, ending=_ENDING, inside=("*.tar", "*/*.tar"))
        if len({name.rpartition("/")[0] for name in found.names}) != 1:
            raise ValueError(
                f"webdataset needs .tar files in one folder; {self.path} has "
                f"{(found.names or found.there)[:5] or 'none'}. Set data.path."
            )
        return found

    def _list(self, store: Store, shard: str) -> Iterator[Entry]:
        with store.open(shard) as file:
            for key, parts in _samples(file, uri_of(store, shard)):
                where = f"{uri_of(store, shard)} key {key!r}"
                image = _one(parts, _IMAGE_PARTS, where)
                label = _read_label(file, _one(parts, (_LABEL_PART,), where), where)
                check_label(label, self.num_classes, where=where)
                yield Entry(_official(key), label, (shard, image.offset, image.size))


def _samples(
    file: BinaryIO, shard: str
) -> Iterator[tuple[str, Mapping[str, list[Member]]]]:
    """Yield each key of a shard with its members by their ending."""
    done = set()
    for key, members in groupby(tar_members(file, shard), lambda m: _split(m.name)[0]):
        parts: dict[str, list[Member]] = {}
        for member in members:
            parts.setdefault(_split(member.name)[1], []).append(member)
        if key in done:
            raise ValueError(
                f"webdataset needs all members of a key side by side; {shard} has "
                f"{key!r} in two places. Write the shard in the order of its keys."
            )
        done.add(key)
        if parts.keys() & {*_IMAGE_PARTS, _LABEL_PART}:
            yield key, parts


def _split(name: str) -> tuple[str, str]:
    """Return a member's key and its ending, from the first dot on, in lower case."""
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def _official(key: str) -> str:
    """Return an ImageNet validation image's own name, or the key as it is."""
    file = key.rpartition("/")[2]
    return file if VALIDATION_NAME.fullmatch(file) else key


def _one(
    parts: Mapping[str, list[Member]], endings: Sequence[str], where: str
) -> Member:
    found = [member for ending in endings for member in parts.get(ending, ())]
    if len(found) != 1:
        raise ValueError(
            f"webdataset needs one member that ends in .{', .'.join(endings)} for each "
            f"key; {where} has {len(found)}, beside .{', .'.join(sorted(parts))}. "
            f"Write the shard anew."
        )
    return found[0]


def _read_label(file: BinaryIO, member: Member, where: str) -> int:
    file.seek(member.offset)
    text = file.read(member.size)
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(
            f"webdataset needs a class index as text in .{_LABEL_PART}; {where} has "
            f"{text[:20]!r}. Write the shard anew."
        ) from error
