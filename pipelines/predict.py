"""Predict with the smoothed classifier: votes of their own stream, and Cohen's test."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import torch

from infra.tables import to_bytes
from ops.certify.predict import Predict
from ops.columns import Worker
from pipelines.certificates import histogram
from pipelines.certify import DONE, SET_ASIDE
from pipelines.identity import digest, vote_identity
from pipelines.ledger import read_ledger
from pipelines.prepare import Job, prepare
from pipelines.recipe import Run
from pipelines.vote import vote

PREDICTIONS = pa.schema(
    [
        ("image_key", pa.string()),
        ("label", pa.int32()),
        ("sigma", pa.float64()),
        ("predicted_class", pa.int32()),
        ("abstained", pa.bool_()),
        ("num_top", pa.int64()),
        ("num_second", pa.int64()),
        ("p_value", pa.float64()),
        ("failure_probability", pa.float64()),
        ("reason", pa.string()),
    ]
)
"""One row per image and sigma; ``num_second`` holds invalid votes too."""

_STREAM = "predict"


def predict(
    name: str, settings: Sequence[str] = (), out: str | None = None
) -> tuple[int, pa.Table, Job]:
    """Predict every image of a recipe at every sigma, from where OUT stands.

    Args:
        name: packaged recipe or YAML file.
        settings: ``field=value`` each.
        out: local path or ``s3://`` URI; ``None``: ``runs/NAME``.

    Returns:
        Exit status, rows of :data:`PREDICTIONS`, and the job.

    Raises:
        ValueError: the run was refused; the message says what to do.
        OSError: a file is not there, or OUT cannot be written.
    """
    job = prepare(name, settings, out)
    tables = []
    for run in job.recipe.runs:
        num_blocks = _num_blocks(run)
        vote(job, run, {_STREAM: num_blocks})
        tables.append(_predictions(job, run, num_blocks))
    predictions = pa.concat_tables(tables)
    identities = [digest(vote_identity(run)) for run in job.recipe.runs]
    facts = {"vote_identities": json.dumps(identities)}
    job.store.write("predictions.parquet", to_bytes(predictions, facts))
    failed = pc.any(pc.is_valid(predictions["reason"])).as_py()
    return (SET_ASIDE if failed else DONE), predictions, job


def _num_blocks(run: Run) -> int:
    draws = run.sampling.num_predict
    return 10 if draws is None else draws // run.sampling.block


def _predictions(job: Job, run: Run, num_blocks: int) -> pa.Table:
    """Return the predictions of one sigma, sorted by image key."""
    keys = sorted(job.labels)
    votes = read_ledger(job.store, run.sigma).votes
    counted = histogram(
        votes,
        keys,
        stream=_STREAM,
        num_blocks=num_blocks,
        num_classes=run.classifier.num_classes,
    )
    op = Predict(failure_probability=run.sampling.failure_probability)
    written = op.open(Worker(torch.device("cpu")))(
        {"votes_predict": counted.votes, "invalid_predict": counted.invalid}
    )
    failed = votes.filter(pc.is_valid(votes["failure"]))
    reasons = dict(
        zip(failed["image_key"].to_pylist(), failed["failure"].to_pylist(), strict=True)
    )
    columns = {
        **written,
        "image_key": keys,
        "label": [job.labels[key] for key in keys],
        "sigma": [run.sigma] * len(keys),
        "failure_probability": [run.sampling.failure_probability] * len(keys),
        "reason": [reasons.get(key) for key in keys],
    }
    arrays = [pa.array(columns[f.name], f.type) for f in PREDICTIONS]
    return pa.table(arrays, schema=PREDICTIONS)
