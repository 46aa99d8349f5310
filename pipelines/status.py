"""Where a run stands, from OUT alone: ``diffsmooth status`` from any machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.object_store import Store, open_store
from infra.tables import from_bytes
from ops.vote.streams import num_copies
from pipelines.certificates import INCOMPLETE
from pipelines.certify_stage import certify_here
from pipelines.heartbeat import Heartbeat, read_heartbeat
from pipelines.imported import is_imported, manifest_of
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import Reading, reading_of
from pipelines.recipe import Run, build_recipe
from pipelines.recipe_file import parse_yaml
from pipelines.study_status import StudyStatus, study_status


@dataclass(frozen=True)
class Standing:
    """How far one sigma is."""

    sigma: float
    images: int
    """Asked for."""

    images_done: int
    """With all their votes."""

    images_failed: int
    """Of these, with a block that failed for good."""

    votes: int
    votes_wanted: int

    at_most: bool = False
    """Whether fewer votes than wanted may do, as images stop by themselves."""


@dataclass(frozen=True)
class Status:
    """Where all sigmas of an OUT stand, and what its driver said last."""

    url: str
    standings: tuple[Standing, ...]
    beat: Heartbeat | None
    certified: bool
    """Whether certificates and a manifest are there."""

    @property
    def finished(self) -> bool:
        """Whether every image has all its votes."""
        return all(one.images_done == one.images for one in self.standings)

    def lines(self) -> list[str]:
        """Return the status as lines to print."""
        return [
            f"{'OUT':<12} {self.url}",
            f"{'state':<12} {self._state()}",
            *(_standing_line(one) for one in self.standings),
            *(_running_lines(self.beat) if self.beat and self.beat.is_alive else []),
        ]

    def _state(self) -> str:
        beat = self.beat
        if self.finished and not (beat and beat.is_alive):
            return "done" if self.certified else "voted; certify again for certificates"
        if beat is None:
            return "not running; certify again continues it"
        where = f"process {beat.pid} on {beat.host}"
        heard = f"heard of {beat.silent_seconds:.0f} s ago"
        if beat.is_alive:
            return f"running, {where}, {heard}"
        if beat.state == "running":
            return (
                f"lost: {where} was last {heard}, which is too long. Certify again "
                f"continues it"
            )
        reason = f": {beat.reason}" if beat.reason else ""
        return f"{beat.state}, {where}, {heard}{reason}"


def status(uri: str) -> Status | StudyStatus:
    """Return where a run stands.

    Counts what the ledger holds; while the run's driver is heard of, what the driver
    counted.

    Args:
        uri: OUT of the run.

    Raises:
        ValueError: no run was ever started there.
    """
    store = open_store(uri)
    if is_imported(store):
        raise ValueError(
            f"status needs an OUT of diffsmooth certify or predict; {store.url} has an "
            f"imported log, which was whole when it was imported. Report it."
        )
    if not (store.exists("recipe.yaml") and store.exists("images.parquet")):
        raise ValueError(
            f"status needs an OUT of diffsmooth certify or predict; {store.url} has no "
            f"recipe.yaml and images.parquet. Check the path."
        )
    beat = read_heartbeat(store)
    text = store.read("recipe.yaml").decode()
    raw = parse_yaml(text, f"{store.url}/recipe.yaml")
    if "study" in raw:
        running = _running_lines(beat) if beat and beat.is_alive else []
        return study_status(store, beat, tuple(running))
    labels = _labels(store)
    runs = build_recipe(raw, store.url).runs
    standings = tuple(
        _as_heard(run, beat)
        if beat and beat.is_alive and beat.sigma == run.sigma
        else _as_stored(store, reading_of(run, len(labels)), labels)
        for run in runs
    )
    return Status(store.url, standings, beat, _certified(store, runs, len(labels)))


def _certified(store: Store, runs: Sequence[Run], num_images: int) -> bool:
    """Return whether the manifest is of these runs, images and all their votes."""
    if not (store.exists("certificates.parquet") and store.exists("manifest.json")):
        return False
    known = {one["sigma"]: one for one in manifest_of(store).get("runs", [])}
    return all(
        run.sigma in known
        and known[run.sigma]["images_asked_for"] == num_images
        and INCOMPLETE not in known[run.sigma].get("reasons", {})
        and _same_votes(known[run.sigma]["analysis"], reading_of(run, num_images))
        for run in runs
    )


def _same_votes(analysis: Mapping[str, Any], reading: Reading) -> bool:
    """Return whether certificates rest on the votes that a recipe asks for."""
    names = ("num_select", "num_estimate", "table_sha256")
    return all(analysis.get(name) == reading.numbers.get(name) for name in names)


def _labels(store: Store) -> dict[str, int]:
    asked, _ = from_bytes(store.read("images.parquet"), f"{store.url}/images.parquet")
    columns = (asked[name].to_pylist() for name in ("image_key", "label"))
    return dict(zip(*columns, strict=True))


def _as_heard(run: Run, beat: Heartbeat) -> Standing:
    return Standing(
        sigma=run.sigma,
        images=beat.images,
        images_done=beat.images_done,
        images_failed=len(beat.set_aside),
        votes=beat.votes,
        votes_wanted=beat.votes_wanted,
        at_most=beat.at_most,
    )


def _as_stored(store: Store, reading: Reading, labels: Mapping[str, int]) -> Standing:
    run, keys = reading.run, list(labels)
    index, blocks = LedgerIndex(store, run.sigma), reading.blocks
    if reading.table is not None:
        return _as_certified(store, reading, index, labels)
    there = {s: index.present(keys, s, num) for s, num in blocks.items()}
    whole = np.logical_and.reduce([held.all(axis=1) for held in there.values()])
    return Standing(
        sigma=run.sigma,
        images=len(keys),
        images_done=int(whole.sum()),
        images_failed=len(set(index.failures) & set(keys)),
        votes=_copies({s: int(h.sum()) for s, h in there.items()}, run),
        votes_wanted=_copies({s: h.size for s, h in there.items()}, run),
    )


def _as_certified(
    store: Store, reading: Reading, index: LedgerIndex, labels: Mapping[str, int]
) -> Standing:
    """Return how far images are that stop by themselves, by looking at their votes."""
    found = certify_here(store, reading, index, labels).certificates
    going = found["reason"].to_pylist().count(INCOMPLETE)
    votes = index.num_votes(reading.run.sampling.block)
    return Standing(
        sigma=reading.run.sigma,
        images=len(labels),
        images_done=len(labels) - going,
        images_failed=len(set(index.failures) & set(labels)),
        votes=votes,
        votes_wanted=votes + going * reading.most_votes,
        at_most=going > 0,
    )


def _copies(blocks: Mapping[str, int], run: Run) -> int:
    size = run.sampling.block
    return sum(num * num_copies(s, size) for s, num in blocks.items())


def _standing_line(one: Standing) -> str:
    failed = f", {one.images_failed} failed" if one.images_failed else ""
    return (
        f"{f'sigma {one.sigma:g}':<12} {one.images_done:,}/{one.images:,} images"
        f"{failed}, {one.votes:,}/{one.votes_wanted:,} votes"
        f"{' at most' if one.at_most else ''}"
    )


def _running_lines(beat: Heartbeat) -> list[str]:
    left = beat.seconds_left
    at_most = "at most " if beat.at_most else ""
    time_left = (
        "" if left is None else f", {at_most}{_duration(left)} left at this sigma"
    )
    nodes = [
        f"{n['address']} ({n['cpus']:g} cores, {n['gpus']:g} GPUs)" for n in beat.nodes
    ]
    return [
        f"{'rate':<12} {beat.votes_per_second:,.0f} votes/s{time_left}",
        f"{'nodes':<12} {len(nodes)}: {', '.join(nodes)}",
        f"{'under way':<12} {len(beat.in_flight)} calls, {beat.retries} repeated",
        *(f"{'longest':<12} {call}" for call in beat.in_flight[:1]),
        *(
            f"{'set aside':<12} {key}: {why}"
            for key, why in list(beat.set_aside.items())[:5]
        ),
    ]


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
