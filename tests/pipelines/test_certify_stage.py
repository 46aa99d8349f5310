from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import from_bytes, to_bytes
from pipelines.certificates import CERTIFICATES, certify_votes
from pipelines.certify_stage import (
    CertifyStage,
    certified,
    certify_here,
    stage_rows,
)
from pipelines.compact import compact
from pipelines.image_groups import image_groups
from pipelines.ledger import vote_files
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.vote_rows import read_all_votes

Cast = Callable[..., Any]


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of("data.subset=first:12", "stages.unit_votes=60")


@pytest.fixture
def labels(run: Run, cast: Cast, tmp_path: Path) -> dict[str, int]:
    """Cast votes into OUT; return the true class of each image."""
    return {entry.key: entry.label for entry in cast(run, tmp_path)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_groups, "__defaults__", (5,))


def with_other_votes(store: Store, name: str) -> None:
    """Write a file once more under another name, with all votes lost."""
    votes, facts = from_bytes(store.read(name), name)
    lost = pa.array([[]] * len(votes), votes.schema.field("counts").type)
    index = votes.schema.get_field_index("counts")
    changed = votes.set_column(index, "counts", lost)
    store.write(name.replace(".parquet", "z.parquet"), to_bytes(changed, facts))


def test_groups_give_what_all_votes_at_once_give(
    run: Run, labels: dict[str, int], store: Store
) -> None:
    index = LedgerIndex(store, 0.25)

    found = certify_here(store, reading_of(run, 1), index, {**labels, "no_votes": 3})

    votes = read_all_votes(store, 0.25).rows
    assert found.certificates.equals(
        certify_votes(votes, {**labels, "no_votes": 3}, reading_of(run, 1))
    )
    assert found.certificates.schema.equals(CERTIFICATES)
    assert found.num_differing == 0


def test_the_stage_gives_what_this_process_gives(
    run: Run, labels: dict[str, int], store: Store
) -> None:
    index = LedgerIndex(store, 0.25)
    rows = stage_rows(reading_of(run, 1), index, labels)
    stage = CertifyStage(store.url)
    assert len(rows) == 3

    apart = [stage({name: [row[name]] for name in row}) for row in rows[::-1]]
    other_sigma = stage({name: [rows[0][name]] for name in rows[0]})
    sigma = pa.array([0.5] * len(other_sigma))
    apart.append(other_sigma.set_column(2, "sigma", sigma))

    found = certified(reading_of(run, 1), index, apart)
    assert found.certificates.equals(
        certify_here(store, reading_of(run, 1), index, labels).certificates
    )


def test_blocks_that_differ_are_added_up_over_groups(
    run: Run, labels: dict[str, int], store: Store
) -> None:
    before = certify_here(
        store, reading_of(run, 1), LedgerIndex(store, 0.25), labels
    ).certificates
    files = vote_files(store, 0.25)
    for name in (files[0], files[-1]):
        with_other_votes(store, name)
    changed = [from_bytes(store.read(n), n)[0] for n in (files[0], files[-1])]
    num_blocks = sum(len(votes) for votes in changed)

    index = LedgerIndex(store, 0.25)
    found = certify_here(store, reading_of(run, 1), index, labels)
    stage = CertifyStage(store.url)
    rows = stage_rows(reading_of(run, 1), index, labels)
    staged = certified(
        reading_of(run, 1), index, [stage({n: [r[n]] for n in r}) for r in rows]
    )

    assert found.num_differing == staged.num_differing == num_blocks
    assert found.certificates.equals(before)


def test_blocks_that_differed_when_they_were_merged_stay_counted(
    run: Run, labels: dict[str, int], store: Store
) -> None:
    with_other_votes(store, vote_files(store, 0.25)[0])
    index = LedgerIndex(store, 0.25)
    before = certify_here(store, reading_of(run, 1), index, labels)

    compact(store.url)

    stale = certify_here(store, reading_of(run, 1), index, labels)
    after = certify_here(store, reading_of(run, 1), LedgerIndex(store, 0.25), labels)
    assert after.num_differing == before.num_differing > 0
    assert after.certificates.equals(before.certificates)
    assert stale.certificates.equals(before.certificates)
