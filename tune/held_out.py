"""Images that a study tunes on, and those that its winner is judged by, are apart."""

from collections.abc import Mapping, Sequence

from infra.sources.entry import Entry
from pipelines.data import Data
from pipelines.decode import entry_digests

_SHOWN = 3


def require_apart(
    tuned: Sequence[Entry],
    digests: Mapping[str, str],
    held_out: Sequence[Entry],
    data: Data,
    *,
    same_source: bool,
) -> None:
    """Refuse held-out images that a study tunes on: by name, and by content.

    Args:
        tuned: images of the study.
        digests: SHA-256 of each of these as stored, by key.
        held_out: images that a winner is confirmed on.
        data: where these lie.
        same_source: whether equal keys name equal images.

    Raises:
        ValueError: names some that are in both.
    """
    if not held_out:
        raise ValueError(
            "study.held_out needs images; its subset has none. Take another subset."
        )
    keys = {entry.key for entry in tuned}
    both = [entry.key for entry in held_out if same_source and entry.key in keys]
    if not both:
        contents = set(digests.values())
        found = entry_digests(data.source, held_out)
        both = [key for key, sha256 in found.items() if sha256 in contents]
    if both:
        raise ValueError(
            f"study.held_out needs images that the study does not tune on; "
            f"{len(both)} of {len(held_out)} are in data too, such as "
            f"{', '.join(map(repr, both[:_SHOWN]))}. Take another split or subset, or "
            f"numbers that were tuned on these images are too high."
        )
