"""The fifth op on the cluster: certificates of many images at once."""

from collections.abc import Sequence
from typing import Any

import ray

from pipelines.certify_stage import Certified, CertifyStage, certified, stage_rows
from pipelines.failures import told_plainly
from pipelines.prepare import Job
from pipelines.recipe import Run


def certified_on_cluster(job: Job, runs: Sequence[Run]) -> list[Certified]:
    """Certify the images of some sigmas as one Ray Data stage over the vote files.

    Args:
        job: images, OUT, and where the votes lie.
        runs: of the job's.

    Returns:
        One per run, in their order.
    """
    groups = [
        row
        for run in runs
        for row in stage_rows(
            job.readings[run.sigma], job.indexes[run.sigma], job.labels
        )
    ]
    patience = runs[0].ray.no_progress_seconds
    rows = ray.data.from_items(groups, override_num_blocks=len(groups))
    rows.context.execution_no_progress_timeout_s = patience
    stage: Any = CertifyStage(job.out)  # Ray's types do not know such instances
    staged = rows.map_batches(stage, batch_size=1)
    with told_plainly(tuple, patience):
        tables: Any = staged.iter_batches(batch_format="pyarrow", batch_size=None)
        whole = [table for table in tables if len(table)]
    return [
        certified(job.readings[run.sigma], job.indexes[run.sigma], whole)
        for run in runs
    ]
