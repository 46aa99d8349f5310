"""Where a study stands, from OUT alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from infra.object_store import Store
from pipelines.heartbeat import Heartbeat
from pipelines.json_file import json_object

STUDIES = "studies"
"""Folder in OUT that holds one for each study of its votes."""

TRIALS = "trials"
"""Folder of a study that holds a file for each trial that has ended."""

REPORT = "report/study.md"

_REMEDY = "Delete it: the trial is worked out again from the votes that are there."


@dataclass(frozen=True)
class StudyStatus:
    """Trials that have ended, and what the driver said last."""

    url: str
    trials: Mapping[str, int]
    """How many ended in each way."""

    reported: bool
    """Whether there is a report."""

    beat: Heartbeat | None
    running: tuple[str, ...]
    """What the driver says while it casts votes."""

    def lines(self) -> list[str]:
        """Return the status as lines to print."""
        ended = ", ".join(f"{num} {way}" for way, num in sorted(self.trials.items()))
        return [
            f"{'OUT':<12} {self.url}",
            f"{'state':<12} {self._state()}",
            f"{'trials':<12} {ended or 'none has ended'}",
            *self.running,
        ]

    def _state(self) -> str:
        beat = self.beat
        if beat is not None and beat.is_alive:
            return (
                f"casting votes at sigma {beat.sigma:g}, process {beat.pid} on "
                f"{beat.host}, {beat.votes:,} of {beat.votes_wanted:,} copies"
            )
        if self.reported:
            return "done"
        return "no votes are being cast; tune again continues it"


def study_status(
    store: Store, beat: Heartbeat | None, running: tuple[str, ...]
) -> StudyStatus:
    """Return where a study stands.

    Args:
        store: of OUT.
        beat: what its driver said last.
        running: the same in lines, if it is alive.
    """
    names = [
        name
        for name in store.names(f"{STUDIES}/")
        if f"/{TRIALS}/" in name and name.endswith(".json")
    ]
    ways = Counter(str(json_object(store, n, _REMEDY).get("status")) for n in names)
    return StudyStatus(store.url, ways, store.exists(REPORT), beat, running)


def refuse_study(store: Store) -> None:
    """Refuse to write votes beside those of a study.

    Args:
        store: of OUT.

    Raises:
        ValueError: OUT holds a study.
    """
    if store.names(f"{STUDIES}/"):
        raise ValueError(
            f"A run needs an OUT of its own; {store.url} has a study of diffsmooth "
            f"tune. Take another --out."
        )
