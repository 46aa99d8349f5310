"""Casts the votes that trials ask for: one pass at a time, each as wide as can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from infra import cluster
from infra.logs import set_up_worker_logging
from pipelines.prepare import Job
from pipelines.reading import Reading
from pipelines.trace_cells import Held, held
from pipelines.trace_ledger import TraceLedger
from pipelines.trace_plan import families_of
from pipelines.tracing import trace
from tune.prepare import prefix


@dataclass(frozen=True)
class Asked:
    """What a trial needs, and what others will need of the same purified copies."""

    reading: Reading
    """Of the trial's run."""

    together: tuple[Reading, ...]
    """Of all runs that one pass serves, this one among them."""

    num_images: int
    """First images of the study."""


class Caster:
    """Answers trials one after the other, so that no vote is cast twice.

    Trials whose votes come from the same purified copies ask the same caster. It takes
    no core; its passes are whole Ray Data executions with actors of their own, which
    end with each pass, whatever becomes of the trial.
    """

    def __init__(self, job: Job) -> None:
        """Get ready.

        Args:
            job: of all images.
        """
        node = ray.get_runtime_context().get_node_id()
        set_up_worker_logging(job.run_id, node)
        cluster.prepare_data()
        self._job = job
        self._ledgers: dict[tuple[str, ...], TraceLedger] = {}

    def cast(self, asked: Asked) -> Held:
        """Cast what OUT lacks of some votes, and say where those of the trial lie.

        Args:
            asked: by a trial.
        """
        job = prefix(self._job, asked.num_images)
        ledger = self._ledger(asked.together)
        trace(job, asked.together[0].run, ledger)
        ledger.refresh()
        (family,) = families_of([asked.reading], job.recipe.name)
        return held(ledger, family, [entry.key for entry in job.entries])

    def _ledger(self, together: Sequence[Reading]) -> TraceLedger:
        families = families_of(together, self._job.recipe.name)
        key = tuple(f"{one.folder} {one.blocks}" for one in families)
        if key not in self._ledgers:
            self._ledgers[key] = TraceLedger(self._job.store, families)
        return self._ledgers[key]


def start_casters(job: Job) -> list[Any]:
    """Start actors that cast, each with its share of the cluster.

    Args:
        job: of all images, whose ``beside`` says how many passes run at once.
    """
    actor: Any = ray.remote(Caster)
    placed = actor.options(num_cpus=0, max_restarts=-1, max_task_retries=-1)
    return [placed.remote(job) for _ in range(job.beside.executions)]
