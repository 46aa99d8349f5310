from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from infra.object_store import open_store
from pipelines.identity import vote_identity
from pipelines.ledger import vote_metadata
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.target import VoteTarget
from pipelines.units import Unit, missing_jobs, nothing_voted
from pipelines.vote_rows import read_all_votes
from pipelines.work import Work


def test_an_image_set_aside_fails_all_its_copies_at_the_sigma_of_its_run(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    run = run_of("sigma=0.5")
    entry, *_ = run.data.source.entries()
    unit = Unit(tuple(missing_jobs(nothing_voted([entry], reading_of(run, 1).blocks))))
    facts = vote_metadata(vote_identity(run), {}, "six")
    told = SimpleNamespace(called=[])

    def tell(method: str, *words: object) -> None:
        told.called.append((method, words[1:]))

    work = Work(run, 0, str(tmp_path), VoteTarget(facts), tell, "run", run.plan)
    work.aside("decode").image(unit, entry.key, "broken")

    rows = read_all_votes(open_store(tmp_path), 0.5).rows.to_pylist()
    assert {row["sigma"] for row in rows} == {0.5}
    assert sorted(row["invalid"] for row in rows) == [1, 10, 10, 10]
    assert told.called == [("committed", (4,))]
