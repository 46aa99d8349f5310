"""All that is checked and fetched before the first worker starts."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from infra import cluster
from infra.images import UnreadableImage, decode
from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.subsets import select, subset_digest
from infra.tables import to_bytes
from infra.tracking_address import resolve_uri
from pipelines.beside import ALONE, Beside
from pipelines.decode import entry_digests
from pipelines.identity import vote_identity
from pipelines.imported import refuse_imported
from pipelines.ledger import require_identity
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import Reading, reading_of
from pipelines.recipe import Recipe, Run
from pipelines.resolved import resolved_yaml
from pipelines.seen_images import require_same_images
from pipelines.stored_tables import require_same_table
from pipelines.study_status import refuse_study
from pipelines.weights import require_files, resolve, training_recipes, try_out

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A recipe that may start: its images are listed, its weights are there."""

    recipe: Recipe
    """With weights resolved."""

    out: str
    """Where it writes."""

    store: Store
    """Of OUT."""

    entries: Sequence[Entry]
    """Images asked for."""

    digests: Mapping[str, str]
    """SHA-256 of each image as stored, by key."""

    indexes: Mapping[float, LedgerIndex]
    """What is known of the votes in OUT, by sigma; refreshed by who needs them."""

    readings: Mapping[float, Reading]
    """The rule of each run, worked out for these images, by sigma."""

    image_shape: tuple[int, ...] = ()
    """Channel, height and width of the first image after preprocessing."""

    beside: Beside = ALONE
    """What else runs on the cluster at the same time."""

    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Names this start of the run in logs and metrics."""

    @property
    def labels(self) -> dict[str, int]:
        """True class by image key."""
        return {entry.key: entry.label for entry in self.entries}


def prepare_recipe(recipe: Recipe, out: str | None) -> Job:
    """Validate, list, train what is missing, connect, and try one image.

    Args:
        recipe: as loaded.
        out: where to write; ``None``: ``runs/NAME``.

    Returns:
        The job, with this process connected to the run's cluster.

    Raises:
        ValueError: anything that can be known now does not hold.
        OSError: a file is not there, or OUT cannot be written.
    """
    out = out or f"runs/{recipe.name}"
    store = open_store(out)
    store.require_writable()
    refuse_imported(store)
    refuse_study(store)
    store.sweep()
    first = recipe.runs[0]
    resolve_uri(first.tracking.uri, None)  # refuses what MLflow could not write to
    _require_same_data(recipe)
    entries = select(first.data.source.entries(), first.data.subset)
    require_known_labels(recipe, entries)
    _readings(recipe, entries)  # refuses what could certify nothing
    logger.info(
        "%s: %d images of %s at sigma %s, into %s.",
        recipe.name,
        len(entries),
        first.data.source.name,
        ", ".join(f"{run.sigma:g}" for run in recipe.runs),
        out,
    )
    if training_recipes(recipe):
        require_files(recipe)
        cluster.start(first.ray.address)
    recipe = resolve(recipe)
    digests = entry_digests(first.data.source, entries)
    indexes = {run.sigma: LedgerIndex(store, run.sigma) for run in recipe.runs}
    readings = _readings(recipe, entries)
    job = Job(recipe, out, store, entries, digests, indexes, readings)
    _refuse_other_votes(job)
    job = replace(job, image_shape=try_first_image(recipe.runs, entries))
    cluster.start(first.ray.address)
    store.write("recipe.yaml", resolved_yaml(recipe).encode())
    store.write("images.parquet", images_table(job))
    return job


def _readings(recipe: Recipe, entries: Sequence[Entry]) -> dict[float, Reading]:
    return {run.sigma: reading_of(run, len(entries)) for run in recipe.runs}


def _refuse_other_votes(job: Job) -> None:
    for run in job.recipe.runs:
        index = continued_ledger(job, run)
        require_same_table(job.store, index, job.readings[run.sigma])


def images_table(job: Job) -> bytes:
    """Return which images a job asks for, as Parquet: key, label, sha256.

    Args:
        job: whose images.
    """
    rows = [
        {"image_key": e.key, "label": e.label, "sha256": job.digests[e.key]}
        for e in job.entries
    ]
    schema = pa.schema(
        [
            ("image_key", pa.string()),
            ("label", pa.int32()),
            ("sha256", pa.string()),
        ]
    )
    facts = {
        "subset": job.recipe.runs[0].data.subset,
        "subset_sha256": subset_digest(job.entries),
    }
    return to_bytes(pa.Table.from_pylist(rows, schema), facts)


def continued_ledger(job: Job, run: Run) -> LedgerIndex:
    """Return what there is of the votes a run continues, refused if not its own.

    Args:
        job: whose OUT.
        run: one of the job's.

    Raises:
        ValueError: OUT holds votes of another identity, or of other image content.
    """
    index = job.indexes[run.sigma]
    index.refresh()
    require_identity(index.metadata, vote_identity(run), job.out)
    require_same_images(index.images(), job.digests, job.out)
    return index


def _require_same_data(recipe: Recipe) -> None:
    for run in recipe.runs[1:]:
        if run.data != recipe.runs[0].data:
            raise ValueError(
                f"Recipe {recipe.name} needs one data set for all sigmas; data differs "
                f"between {recipe.runs[0].sigma} and {run.sigma}. Make two recipes."
            )


def require_known_labels(recipe: Recipe, entries: Sequence[Entry]) -> None:
    """Refuse images whose label is no class of the classifier.

    Args:
        recipe: with the classifiers.
        entries: images asked for.

    Raises:
        ValueError: names the first such image.
    """
    for run in recipe.runs:
        num_classes = run.classifier.num_classes
        for entry in entries:
            if not 0 <= entry.label < num_classes:
                raise ValueError(
                    f"The classifier needs labels in [0, {num_classes}); image "
                    f"{entry.key!r} has {entry.label}. Take a labelled split and a "
                    f"classifier of the data set's classes."
                )


def try_first_image(runs: Sequence[Run], entries: Sequence[Entry]) -> tuple[int, ...]:
    """Vote on one image in this process; return its channel, height and width.

    Args:
        runs: of one data set, with weights resolved.
        entries: images asked for.

    Raises:
        ValueError: no image can be decoded, or weights do not fit.
    """
    data = runs[0].data
    for entry in entries:
        (content,) = data.source.read([entry])
        try:
            image = decode(content, data.preprocess, key=entry.key)
        except UnreadableImage as error:
            logger.warning("%s", error)
            continue
        for run in runs:
            try_out(run, image, entry.key)
        return image.shape
    raise ValueError(
        f"certify needs images it can decode; none of {len(entries)} can be. "
        f"Check data.path."
    )
