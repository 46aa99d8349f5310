"""Predict with the smoothed classifier: votes of their own stream, and Cohen's test."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from infra.object_store import Store
from infra.subsets import subset_digest
from infra.tables import from_bytes, to_bytes
from ops.certify.cascade import Cascade
from ops.certify.predict import Predict
from ops.columns import Worker
from pipelines.canonical import digest
from pipelines.certificates import failures
from pipelines.certify import DONE, SET_ASIDE
from pipelines.claims import claims_by_sigma, claims_with, further_claims
from pipelines.histograms import histogram, in_prefix
from pipelines.identity import vote_identity
from pipelines.image_groups import ImageGroup, image_groups
from pipelines.ledger_index import LedgerIndex
from pipelines.prepare import Job, continued_ledger, prepare_recipe
from pipelines.recipe import Recipe, Run, load_recipe
from pipelines.vote import vote
from pipelines.vote_rows import read_votes

logger = logging.getLogger(__name__)

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
_FILE = "predictions.parquet"


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
    recipe = load_recipe(name, list(settings))
    _refuse_cascade(recipe)
    job = prepare_recipe(recipe, out)
    tables = []
    for run in job.recipe.runs:
        vote(job, run, {_STREAM: run.sampling.predict_blocks})
        index = continued_ledger(job, run)
        tables.append(predictions_of(job.store, run, index, job.labels))
    predictions = pa.concat_tables(tables)
    identities = [digest(vote_identity(run)) for run in job.recipe.runs]
    facts = {
        "vote_identities": json.dumps(identities),
        "claims": json.dumps(prediction_claims(job)),
    }
    job.store.write(_FILE, to_bytes(predictions, facts))
    failed = pc.any(pc.is_valid(predictions["reason"])).as_py()
    return (SET_ASIDE if failed else DONE), predictions, job


def _refuse_cascade(recipe: Recipe) -> None:
    if isinstance(recipe.runs[0].rule, Cascade):
        raise ValueError(
            f"predict needs a rule of single sigmas, whose classes it predicts; rule "
            f"of {recipe.name} is cascade. Set rule.kind to fixed for a prediction at "
            f"each sigma; for the cascade's class, certify and read cascade.parquet."
        )


def prediction_claims(job: Job) -> list[dict]:
    """Return what was ever predicted from the votes in OUT, and what is now.

    No certificate reads these votes, so its claims are not among them.

    Args:
        job: that is about to write its predictions.

    Returns:
        ``sigma``, ``vote_identity_sha256`` and ``claims`` of each sigma.
    """
    found = claims_by_sigma({"runs": _claims_before(job.store)})
    for run in job.recipe.runs:
        analysis = {
            "num_predict": run.sampling.predict_blocks * run.sampling.block,
            "failure_probability": run.sampling.failure_probability,
            "subset": run.data.subset,
            "subset_sha256": subset_digest(job.entries),
        }
        votes = digest(vote_identity(run))
        claims = claims_with(analysis, votes, found.get(run.sigma))
        found[run.sigma] = {
            "sigma": run.sigma,
            "vote_identity_sha256": votes,
            "claims": claims,
        }
        if further := further_claims(claims):
            logger.info("sigma %g, predictions: %s", run.sigma, further)
    return [found[sigma] for sigma in sorted(found)]


def _claims_before(store: Store) -> list[dict]:
    if not store.exists(_FILE):
        return []
    _, facts = from_bytes(store.read(_FILE), f"{store.url}/{_FILE}", columns=["sigma"])
    return json.loads(facts.get("claims", "[]"))


def predictions_of(
    store: Store, run: Run, index: LedgerIndex, labels: Mapping[str, int]
) -> pa.Table:
    """Return the predictions of one sigma from its votes, group by group.

    Args:
        store: of OUT.
        run: for N and the promise.
        index: of the votes.
        labels: true class by image key, of the images wanted.

    Returns:
        Rows of :data:`PREDICTIONS`, sorted by image key.
    """
    tables = [
        _predictions(read_votes(store, group.files, group.keys).rows, group, run)
        for group in image_groups(index, labels)
    ]
    return pa.concat_tables(tables).sort_by("image_key")


def _predictions(votes: pa.Table, group: ImageGroup, run: Run) -> pa.Table:
    """Return the predictions of a group of images."""
    keys, blocks = group.keys, {_STREAM: run.sampling.predict_blocks}
    counted = histogram(
        votes,
        keys,
        stream=_STREAM,
        num_blocks=blocks[_STREAM],
        num_classes=run.classifier.num_classes,
    )
    op = Predict(failure_probability=run.sampling.failure_probability)
    written = op.open(Worker(torch.device("cpu")))(
        {
            "votes_predict": np.where(counted.tiled[:, None], counted.votes, 0),
            "invalid_predict": counted.invalid,
        }
    )
    pairs = zip(keys, counted.tiled, strict=True)
    reasons = {key: "incomplete" for key, whole in pairs if not whole}
    reasons |= failures(votes.filter(in_prefix(votes, blocks)))
    columns = {
        **written,
        "image_key": keys,
        "label": group.labels,
        "sigma": [run.sigma] * len(keys),
        "failure_probability": [run.sampling.failure_probability] * len(keys),
        "reason": [reasons.get(key) for key in keys],
    }
    arrays = [pa.array(columns[f.name], f.type) for f in PREDICTIONS]
    return pa.table(arrays, schema=PREDICTIONS)
