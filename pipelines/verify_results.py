"""Whether certificates, manifest and report are what the votes give."""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from infra.tables import from_bytes
from pipelines.canonical import differences, digest
from pipelines.certificates import INCOMPLETE
from pipelines.certify_stage import Certified
from pipelines.check import Check
from pipelines.claims import joined
from pipelines.curve import by_run
from pipelines.findings import Findings
from pipelines.identity import vote_identity
from pipelines.recount import Recount
from pipelines.render_csv import csv_table
from pipelines.results import certificates_file, curves_of, run_facts
from pipelines.verify_cascade import look_at_cascade

CERTIFICATES, MANIFEST, TABLE = (
    "certificates.parquet",
    "manifest.json",
    "report/table.csv",
)
_ANEW = "Run diffsmooth report, which writes it anew from the votes."
_COMPARED = (
    "vote_identity",
    "vote_identity_sha256",
    "analysis",
    "images_asked_for",
    "images_done",
    "reasons",
)
"""What the manifest and the votes both tell. Conditions may have been added since."""


def look_at_results(recount: Recount) -> list[Check]:
    """Compare what OUT says of its votes with what they give.

    Args:
        recount: of OUT.
    """
    looks: list[Callable[[Recount], Check]] = [
        _recipe,
        _images,
        _tiling,
        _certificates,
        _manifest,
        _report,
    ]
    return [*(look(recount) for look in looks), *look_at_cascade(recount)]


def _recipe(recount: Recount) -> Check:
    """Compare the recipe with what every vote file says of its votes."""
    found = Findings("recipe", "Put recipe.yaml back, or take the votes apart.")
    for one in recount.found:
        for facts in one.index.metadata:
            stored = json.loads(facts["vote_identity"])
            for changed in differences(stored, vote_identity(one.run)):
                found.wrong(f"votes at sigma {one.run.sigma:g} have {changed}")
    return found.check("what the votes were cast under")


def _images(recount: Recount) -> Check:
    """Compare labels and digests of the images with those votes were cast on."""
    found = Findings("images", "Restore the image list, or certify in another OUT.")
    asked = {row["image_key"]: row for row in recount.asked.to_pylist()}
    for one in recount.found:
        images = one.index.images()
        names = ("image_key", "label", "image_sha256")
        columns = (images[name].to_pylist() for name in names)
        for key, label, sha256 in zip(*columns, strict=True):
            want = asked.get(key)
            if want is None:
                continue
            if sha256 not in (None, want["sha256"]):
                found.wrong(f"{key!r} was voted on with sha256 {sha256[:12]}")
            if label != want["label"]:
                found.wrong(f"{key!r} was voted on with label {label}")
    return found.check(f"{len(asked):,} asked for, with the content that was voted on")


def _tiling(recount: Recount) -> Check:
    """Say of which images all blocks are there that a certificate reads."""
    remedy = "Run diffsmooth certify again: it casts what is missing."
    found, keys = Findings("tiling", remedy), sorted(recount.labels)
    num_complete = 0
    for one in recount.found:
        lacking = _lacking(one, keys)
        num_complete += int((lacking == 0).sum())
        for image in np.flatnonzero(lacking):
            where = f"{keys[image]!r} at sigma {one.run.sigma:g}"
            found.wrong(f"{where} lacks {lacking[image]:,} blocks")
    return found.check(f"{num_complete:,} images and sigmas complete")


def _lacking(one: Certified, keys: Sequence[str]) -> np.ndarray:
    """Return how many blocks each image lacks at least, int64 ``image``."""
    blocks = dict(one.reading.blocks)
    if one.reading.table is not None:  # what an image needs follows from its votes
        del blocks["estimate"]
    lacking = np.zeros(len(keys), np.int64)
    for stream, num in blocks.items():
        lacking += num - one.index.present(keys, stream, num).sum(axis=1)
    going = np.equal(one.certificates["reason"].to_pylist(), INCOMPLETE)
    return np.maximum(lacking, going)


def _certificates(recount: Recount) -> Check:
    """Compare the certificates with those the votes give."""
    if not recount.store.exists(CERTIFICATES):
        return Check("certificates", "fail", f"there is no {CERTIFICATES}", _ANEW)
    data = recount.store.read(CERTIFICATES)
    anew = certificates_file(recount.found)
    if data == anew:
        return Check("certificates", "pass", "equal to what the votes give, in bytes")
    found = Findings("certificates", _ANEW)
    stored, facts = from_bytes(data, CERTIFICATES)
    wanted, wanted_facts = from_bytes(anew, CERTIFICATES)
    for name in sorted(facts.keys() | wanted_facts.keys()):
        if facts.get(name) != wanted_facts.get(name):
            found.wrong(f"its {name} is not that of the votes")
    _compare_rows(found, stored, wanted)
    if found.all_right:
        told = "equal to what the votes give, in every value; not in every byte"
        remedy = f"Another version of pyarrow wrote it. {_ANEW}"
        return Check("certificates", "warn", told, remedy)
    return found.check("")


def _compare_rows(found: Findings, stored: pa.Table, wanted: pa.Table) -> None:
    """Take notice of rows that are missing, more, or other than wanted."""
    if stored.schema.names != wanted.schema.names:
        found.wrong(f"it has columns {', '.join(stored.schema.names)}")
        return
    by_key = [
        {(row["sigma"], row["image_key"]): row for row in table.to_pylist()}
        for table in (stored, wanted)
    ]
    old, new = by_key
    for key in sorted(old.keys() | new.keys()):
        image = f"{key[1]!r} at sigma {key[0]:g}"
        if key not in new:
            found.wrong(f"{image} was not asked for")
        elif key not in old:
            found.wrong(f"{image} is missing")
        elif columns := [n for n in new[key] if old[key][n] != new[key][n]]:
            found.wrong(f"{image} has another {', '.join(columns)}")
    if found.all_right and not stored.equals(wanted):
        found.wrong("its rows are in another order, or there twice")


def _manifest(recount: Recount) -> Check:
    """Compare the manifest with the votes and certificates."""
    if not recount.manifest:
        return Check("manifest", "fail", f"there is no {MANIFEST}", _ANEW)
    found = Findings("manifest", _ANEW)
    runs = {facts["sigma"]: facts for facts in recount.manifest.get("runs", [])}
    for one in recount.found:
        stored = runs.pop(one.run.sigma, None)
        if stored is None:
            found.wrong(f"it has nothing of sigma {one.run.sigma:g}")
        else:
            _compare_run(found, one, stored)
    for sigma in runs:
        found.wrong(f"it has sigma {sigma:g}, which the recipe has not")
    return found.check("counts, identities and claims are those of the votes")


def _compare_run(found: Findings, one: Certified, stored: Mapping) -> None:
    wanted, where = run_facts(one), f"at sigma {one.run.sigma:g}"
    for name in _COMPARED:
        if stored.get(name) != wanted[name]:
            found.wrong(f"{where} its {name} is not that of the votes")
    if stored.get("vote_identity_sha256") != digest(stored.get("vote_identity", {})):
        found.wrong(f"{where} its identity has another sha256 than it says")
    claims = joined(stored.get("claims", []))
    if joined([*claims, wanted["analysis"]]) != claims:
        found.wrong(f"{where} its claims lack the one in {CERTIFICATES}")


def _report(recount: Recount) -> Check:
    if not recount.store.exists(TABLE):
        return Check("report", "fail", f"there is no {TABLE}", _ANEW)
    curves = curves_of(recount.store, recount.recipe.name, recount.found)
    ordered = [curve for own in by_run(curves).values() for curve in own]
    if recount.store.read(TABLE) != csv_table(ordered).encode():
        found = f"{TABLE} is not the table of these certificates and claims"
        return Check("report", "fail", found, _ANEW)
    return Check("report", "pass", f"{TABLE} is the table of these certificates")
