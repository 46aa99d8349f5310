"""Many images read at once from where they lie."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.object_store import open_store
from infra.sources.files import split_file

_READS_AT_ONCE = 16
_GAP_BYTES = 1 << 16
"""Reading so much for nothing costs less than another request."""

_AT_MOST_BYTES = 1 << 23
"""Of one request for several images."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where an image lies."""

    uri: str
    """The file, absolute."""

    offset: int | None = None
    """First byte; ``None`` if the image is no run of bytes or the whole file."""

    length: int | None = None
    """Bytes; ``None`` where ``offset`` is."""


@dataclass
class _Request:
    """What is read in one go: a file, or neighbours in it."""

    uri: str
    start: int
    end: int | None
    """Behind the last byte; ``None``: the whole file."""

    members: dict[int, slice]
    """Part of what is read, by its position among the places asked for."""


def read_locations(locations: Sequence[Location]) -> list[bytes]:
    """Return what lies at places, in the order asked for.

    Neighbours in a file are read together. Far places are read several at once,
    because each is a wait for the server.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file ends before a range does.
    """
    requests = [
        _Request(place.uri, 0, None, {position: slice(None)})
        for position, place in enumerate(locations)
        if place.offset is None
    ]
    requests += _joined(locations)
    if all(open_store(request.uri).local_path is not None for request in requests):
        parts = map(_read, requests)
    else:
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            parts = list(pool.map(_read, requests))
    contents = {position: part for read in parts for position, part in read.items()}
    return [contents[position] for position in range(len(locations))]


def _read(request: _Request) -> dict[int, bytes]:
    store, name = split_file(request.uri)
    if request.end is None:
        data = store.read(name)
    else:
        data = store.read_range(name, request.start, request.end - request.start)
    return {position: data[part] for position, part in request.members.items()}


def _joined(locations: Sequence[Location]) -> list[_Request]:
    """Return requests for all byte ranges, neighbours together."""
    ranges = sorted(
        (place.uri, place.offset, place.offset + place.length, position)
        for position, place in enumerate(locations)
        if place.offset is not None and place.length is not None
    )
    requests: list[_Request] = []
    for uri, start, end, position in ranges:
        last = requests[-1] if requests else None
        if last is None or not _joins(last, uri, start, end):
            last = _Request(uri, start, end, {})
            requests.append(last)
        last.end = max(last.end or 0, end)
        last.members[position] = slice(start - last.start, end - last.start)
    return requests


def _joins(last: _Request, uri: str, start: int, end: int) -> bool:
    return (
        last.uri == uri
        and start - (last.end or 0) <= _GAP_BYTES
        and end - last.start <= _AT_MOST_BYTES
    )
