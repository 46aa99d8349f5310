"""An OUT that holds an imported log instead of votes."""

import pyarrow as pa

from infra.object_store import Store
from infra.tables import from_bytes
from pipelines.curve import IMPORTED, Curve
from pipelines.import_settings import ImportSettings
from pipelines.json_file import json_object

_REMEDY = (
    "Put a copy back; or delete it and run diffsmooth report, which writes it anew: "
    "then only the claim that certificates.parquet makes is remembered."
)


def is_imported(store: Store) -> bool:
    """Return whether an OUT holds an imported log rather than votes."""
    return manifest_of(store).get("kind") == IMPORTED


def imported_curve(store: Store) -> Curve:
    """Return the certificates of an imported log as the report draws them.

    Args:
        store: of an OUT for which :func:`is_imported` holds.
    """
    manifest = manifest_of(store)
    told = ImportSettings.model_validate(manifest["settings"])
    certificates, _ = from_bytes(store.read("certificates.parquet"), store.url)
    images, _ = from_bytes(store.read("images.parquet"), store.url)
    return log_curve(told, certificates, images, manifest["remark"])


def log_curve(
    told: ImportSettings, certificates: pa.Table, images: pa.Table, remark: str
) -> Curve:
    """Return a log's certificates as the report draws them.

    Args:
        told: how they were made; the failure probability is known by now.
        certificates: one row per image.
        images: one row per image, with its ``seconds``, null where not known.
        remark: what a reader must know besides.
    """
    assert told.failure_probability is not None
    spent = images.select(["image_key", "seconds"]).drop_null().to_pylist()
    return Curve(
        run=told.name,
        sigma=told.sigma,
        certificates=certificates.replace_schema_metadata(None),
        dataset=told.dataset,
        num_estimate=told.num_estimate,
        failure_probability=told.failure_probability,
        rule=IMPORTED,
        seconds={row["image_key"]: row["seconds"] for row in spent},
        remark=remark,
    )


def manifest_of(store: Store) -> dict:
    """Return the manifest of an OUT, empty where there is none."""
    if not store.exists("manifest.json"):
        return {}
    return json_object(store, "manifest.json", _REMEDY)


def refuse_imported(store: Store) -> None:
    """Refuse to write votes beside an imported log.

    Args:
        store: of OUT.

    Raises:
        ValueError: OUT holds one.
    """
    if is_imported(store):
        raise ValueError(
            f"A run needs an OUT of its own; {store.url} has an imported log. "
            f"Take another --out."
        )
