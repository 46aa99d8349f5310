"""A log of another program becomes an OUT that reports can lay beside our own runs."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa

from infra.object_store import Store, open_store
from infra.provenance import provenance
from infra.tables import to_bytes
from pipelines.certificates import CERTIFICATES, UNITS
from pipelines.curve import IMPORTED, Curve, radius_grid
from pipelines.foreign_log import ForeignLog, parse_log
from pipelines.import_settings import ImportSettings, import_settings
from pipelines.imported import is_imported, log_curve, manifest_of
from pipelines.log_line import LogRow
from pipelines.log_promise import Draws, Promise, promise_of
from pipelines.report import render

logger = logging.getLogger(__name__)

_ENDINGS = (".tsv", ".txt", ".log", ".csv")
_IMAGES = pa.schema(
    [
        ("image_key", pa.string()),
        ("label", pa.int32()),
        ("sha256", pa.string()),
        ("seconds", pa.float64()),
    ]
)


@dataclass(frozen=True)
class _Source:
    """The file that is imported."""

    name: str
    sha256: str
    log: ForeignLog


def import_log(
    log: str, settings: Sequence[str], out: str | None
) -> tuple[Curve, Store]:
    """Read a log of certificates and write it as an OUT, with a report of its own.

    Nothing is computed that the log does not hold: columns of the certificates that it
    says nothing of are null, and radii stay as they were printed.

    Args:
        log: path of the log, local or ``s3://``.
        settings: ``field=value`` each, of :class:`ImportSettings`.
        out: where to write; ``None``: ``runs/`` and the log's name without ending.

    Returns:
        The curve of the log, and the store of OUT.

    Raises:
        ValueError: the log is not there or no such log, a setting is missing or does
            not fit, or OUT holds something else.
        OSError: OUT cannot be written.
    """
    file = log.rstrip("/").rpartition("/")[2]
    stem = next((file.removesuffix(e) for e in _ENDINGS if file.endswith(e)), file)
    content = _content(log)
    told = import_settings(settings, stem, file)
    parsed = parse_log(content, file, num_classes=told.num_classes)
    draws = Draws(told.sigma, told.num_estimate)
    promise = promise_of(parsed.rows, draws, told.failure_probability, file)
    source = _Source(file, hashlib.sha256(content).hexdigest(), parsed)
    _tell(source, promise)
    store = open_store(out or f"runs/{stem}")
    store.require_writable()
    _refuse_other_content(store, source)
    return _write(store, source, told, promise), store


def _content(log: str) -> bytes:
    folder, slash, file = log.rpartition("/")
    try:
        return open_store(folder or slash or ".").read(file)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(
            f"import needs the file of a log; {log} is none. Check the path."
        ) from error


def _tell(source: _Source, promise: Promise) -> None:
    """Log what was found out about a log and a reader may not expect."""
    logger.info(
        "%s: %d certificates, failure probability %g %s.",
        source.name,
        len(source.log.rows),
        promise.failure_probability,
        promise.found,
    )
    if source.log.running_total:
        logger.warning(
            "%s has a running total in its column correct; right images are counted "
            "anew, by predict == label.",
            source.name,
        )
    if not promise.is_plausible:
        logger.warning(
            "The largest radii of %s are not those of all votes or nearly all at "
            "failure probability %g. Check it, sigma and num_estimate.",
            source.name,
            promise.failure_probability,
        )


def _refuse_other_content(store: Store, source: _Source) -> None:
    if store.exists("recipe.yaml") or store.names("votes/"):
        held = "a run"
    elif is_imported(store) and manifest_of(store)["log"]["sha256"] != source.sha256:
        held = f"the import of another log, {manifest_of(store)['log']['name']}"
    else:
        return
    raise ValueError(
        f"import needs an OUT of its own; {store.url} has {held}. Add --out."
    )


def _tell_replaced(store: Store, told: ImportSettings) -> None:
    before = manifest_of(store).get("settings")
    if before not in (None, told.model_dump(mode="json")):
        logger.warning(
            "%s had this log under other settings, %s; they are replaced. Take another "
            "--out to keep both.",
            store.url,
            before,
        )


def _write(
    store: Store, source: _Source, told: ImportSettings, promise: Promise
) -> Curve:
    rows = dict(zip(_keys(source.log, told.dataset), source.log.rows, strict=True))
    found = {"failure_probability": promise.failure_probability}
    told = told.model_copy(update=found)
    certificates, images = _certificates(rows, told), _images(rows)
    curve = log_curve(told, certificates, images, "")
    curve = replace(curve, remark=_remark(curve, source, promise))
    _tell_replaced(store, told)
    facts = {"units": json.dumps(UNITS, sort_keys=True), "log_sha256": source.sha256}
    store.write("certificates.parquet", to_bytes(certificates, facts))
    store.write("images.parquet", to_bytes(images, {"subset": "of the log"}))
    for name, content in render([curve]).items():
        store.write(f"report/{name}", content)
    manifest = _facts(source, told, promise, curve)
    store.write("manifest.json", json.dumps(manifest, indent=2).encode())
    return curve


def _keys(log: ForeignLog, dataset: str) -> list[str]:
    """Return a name per image that sorts as its ``idx``, or as its line without one."""
    return [
        f"{dataset}_row_{place:08d}"
        if row.index is None
        else f"{dataset}_idx_{row.index:08d}"
        for place, row in enumerate(log.rows)
    ]


def _certificates(rows: Mapping[str, LogRow], told: ImportSettings) -> pa.Table:
    """Return rows of the certificates' schema, null where the log says nothing."""
    listed = [
        {
            "image_key": key,
            "label": row.label,
            "sigma": told.sigma,
            "guessed_class": row.guessed_class,
            "abstained": row.guessed_class == -1,
            "num_draws": told.num_estimate,
            "failure_probability": told.failure_probability,
            "radius": row.radius,
            "rule": IMPORTED,
            "reason": "abstained" if row.guessed_class == -1 else "certified",
        }
        for key, row in sorted(rows.items())
    ]
    return pa.Table.from_pylist(listed, CERTIFICATES)


def _images(rows: Mapping[str, LogRow]) -> pa.Table:
    listed = [
        {"image_key": key, "label": row.label, "seconds": row.seconds}
        for key, row in sorted(rows.items())
    ]
    return pa.Table.from_pylist(listed, _IMAGES)


def _remark(curve: Curve, source: _Source, promise: Promise) -> str:
    """Say what a reader of the table must know of radii that others rounded."""
    grid = radius_grid(curve.dataset, curve.largest_radius)[1:]
    on_grid = int((curve.correct & np.isin(curve.radius, grid)).sum())
    parts = [
        f"Imported from {source.name}: radii as its program printed them, usually to 3 "
        f"digits and not rounded down"
    ]
    if on_grid:
        parts.append(f"right images exactly on a radius of the table: {on_grid}")
    if promise.found == "detected":
        parts.append("failure probability detected from the largest radii")
    if not promise.is_plausible:
        parts.append("its largest radii fit neither N nor the failure probability")
    return f"{'; '.join(parts)}."


def _facts(
    source: _Source, told: ImportSettings, promise: Promise, curve: Curve
) -> dict:
    """Return what a reader needs to trust the table, as a run's manifest has it."""
    log = {
        "name": source.name,
        "sha256": source.sha256,
        "columns": source.log.columns,
        "header": source.log.header,
        "separator": source.log.separator,
        "correct_is_running_total": source.log.running_total,
    }
    analysis = {
        "num_select": told.num_select,
        "num_estimate": told.num_estimate,
        "failure_probability": told.failure_probability,
        "rule": {"kind": IMPORTED},
        "subset": None,
    }
    run = {
        "sigma": told.sigma,
        "analysis": analysis,
        "claims": [analysis],
        "images_asked_for": curve.num_images,
        "images_done": curve.num_images,
        "reasons": dict(Counter(curve.column("reason").tolist())),
    }
    return {
        "kind": IMPORTED,
        "log": log,
        "settings": told.model_dump(mode="json"),
        "failure_probability": asdict(promise),
        "remark": curve.remark,
        "runs": [run],
        **provenance(),
    }
