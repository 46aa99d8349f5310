"""The trials of a study in OUT: written once each has ended, read to go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from infra.object_store import Store
from infra.tables import from_bytes, to_bytes
from pipelines.certificates import UNITS
from pipelines.json_file import json_object
from pipelines.study_status import TRIALS
from tune.chosen import Choice
from tune.trial import Status

_REMEDY = "Delete it: the trial is worked out again from the votes that are there."


@dataclass(frozen=True)
class Rung:
    """What a trial had after some of the images."""

    images: int
    value: float


@dataclass(frozen=True)
class Record:
    """How a trial ended."""

    number: int
    choice: Choice
    status: Status
    reason: str
    rungs: tuple[Rung, ...]
    """Ascending in images; none where it was refused or failed at once."""

    cost: float
    """Of one image, in the unit of the study's budget."""

    order: int
    """Place among the trials in which they ended, from 0."""

    seconds: float
    """From its begin to its end."""


def write_record(store: Store, record: Record) -> None:
    """Write how a trial ended.

    Args:
        store: of OUT.
        record: of the trial.
    """
    said = {
        "number": record.number,
        "variant": record.choice.variant,
        "baseline": record.choice.baseline,
        "point": dict(record.choice.point),
        "status": record.status,
        "reason": record.reason,
        "rungs": [[rung.images, rung.value] for rung in record.rungs],
        "cost": record.cost,
        "order": record.order,
        "seconds": record.seconds,
    }
    store.write(_name(record.number, "json"), json.dumps(said, indent=1).encode())


def read_records(store: Store) -> list[Record]:
    """Return the trials that have ended, in the order in which they did.

    Args:
        store: of OUT.

    Raises:
        ValueError: a file is damaged.
    """
    names = [n for n in store.names(f"{TRIALS}/") if n.endswith(".json")]
    found = [_record(json_object(store, name, _REMEDY), name) for name in names]
    return sorted(found, key=lambda record: record.order)


def _record(said: Mapping[str, Any], name: str) -> Record:
    try:
        return Record(
            number=said["number"],
            choice=Choice(said["variant"], said["baseline"], said["point"]),
            status=said["status"],
            reason=said["reason"],
            rungs=tuple(Rung(*rung) for rung in said["rungs"]),
            cost=said["cost"],
            order=said["order"],
            seconds=said["seconds"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"A study needs records it knows; {name} has no {error}. {_REMEDY}"
        ) from error


def write_certificates(store: Store, number: int, certificates: pa.Table) -> None:
    """Write the certificates of a trial.

    Args:
        store: of OUT.
        number: of the trial.
        certificates: rows of :data:`pipelines.certificates.CERTIFICATES`.
    """
    facts = {"units": json.dumps(UNITS, sort_keys=True)}
    store.write(_name(number, "parquet"), to_bytes(certificates, facts))


def read_certificates(store: Store, number: int) -> pa.Table:
    """Return the certificates of a trial.

    Args:
        store: of OUT.
        number: of the trial.
    """
    name = _name(number, "parquet")
    table, _ = from_bytes(store.read(name), f"{store.url}/{name}")
    return table


def ended(records: Sequence[Record]) -> dict[str, Record]:
    """Return those that need not be tried again, by the key of their choice."""
    return {one.choice.key: one for one in records if one.status != "failed"}


def _name(number: int, kind: str) -> str:
    return f"{TRIALS}/{number:05}.{kind}"
