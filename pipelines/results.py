"""What follows from votes: curves, certificates, the report's files, the manifest."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from infra.preprocess import certified_input
from infra.provenance import provenance
from infra.sources.entry import Entry
from infra.subsets import subset_digest
from infra.tables import from_bytes, to_bytes
from pipelines.canonical import digest
from pipelines.cascade import write_cascade
from pipelines.cascade_curve import cascade_curves
from pipelines.certificates import CERTIFICATES, UNITS
from pipelines.certify_stage import Certified
from pipelines.claims import claims_by_sigma, claims_with
from pipelines.conditions import stored_conditions
from pipelines.curve import Curve, single
from pipelines.identity import vote_identity
from pipelines.imported import manifest_of
from pipelines.reading import Reading
from pipelines.report import render
from pipelines.row_facts import facts_of
from pipelines.stored_tables import store_table

CERTIFICATES_FILE = "certificates.parquet"


def curves_of(store: Store, name: str, found: Sequence[Certified]) -> list[Curve]:
    """Return every sigma of a run as the report draws it, then its cascade if any.

    Args:
        store: of OUT, whose manifest lists what was claimed of the votes before.
        name: of the recipe, which names curves for which it says no method.
        found: the certificates, one sigma each.
    """
    earlier = claims_by_sigma(_claimed_before(store))
    curves = [_curve(name, one, earlier.get(one.run.sigma)) for one in found]
    return [*curves, *cascade_curves(curves, found)]


def _claimed_before(store: Store) -> Mapping:
    """Return the manifest, or what certificates say that are there without one."""
    manifest = manifest_of(store)
    if "runs" in manifest or not store.exists(CERTIFICATES_FILE):
        return manifest
    where = f"{store.url}/{CERTIFICATES_FILE}"
    _, facts = from_bytes(store.read(CERTIFICATES_FILE), where)
    identities = json.loads(facts.get("vote_identities", "{}"))
    analyses = json.loads(facts.get("analyses", "{}"))
    runs = [
        {
            "sigma": float(sigma),
            "vote_identity_sha256": identities[sigma],
            "analysis": analysis,
        }
        for sigma, analysis in analyses.items()
    ]
    return {**manifest, "runs": runs}


def _curve(name: str, found: Certified, before: Mapping | None) -> Curve:
    run, images = found.run, found.index.images()
    reading = found.reading
    pairs = (images[column].to_pylist() for column in ("image_key", "seconds"))
    seconds: dict[str, float] = {}
    for key, spent in zip(*pairs, strict=True):
        seconds[key] = seconds.get(key, 0.0) + spent
    analysis = _analysis(reading, found.certificates)
    subset = f"{run.data.subset}, {analysis['subset_sha256'][:12]}"
    return Curve(
        run=run.about.method or name,
        sigma=run.sigma,
        certificates=found.certificates,
        dataset=run.data.source.name,
        num_estimate=reading.most_votes,
        failure_probability=reading.failure_probability,
        rule=reading.name,
        radii=() if reading.table is None else tuple(reading.table.radii.tolist()),
        table_sha256=reading.table_sha256,
        seconds=seconds,
        remark=f"Subset {subset}.",
        claims=claims_with(analysis, digest(vote_identity(run)), before),
        facts=facts_of(run),
        radii_shown=run.about.radii,
    )


def write_results(
    store: Store, found: Sequence[Certified], curves: Sequence[Curve]
) -> None:
    """Write the certificates and the report of one OUT.

    Args:
        store: of OUT.
        found: the certificates, one sigma each.
        curves: of these.
    """
    _note_claims(store, curves)
    for one in found:
        store_table(store, one.reading)
    store.write(CERTIFICATES_FILE, certificates_file(found))
    write_cascade(store, found)
    for name, content in render(curves).items():
        store.write(f"report/{name}", content)


def _note_claims(store: Store, curves: Sequence[Curve]) -> None:
    """List new claims in a manifest that is there, before anyone can read them."""
    earlier = manifest_of(store)
    if "runs" not in earlier:
        return
    claims = {curve.sigma: list(curve.claims) for curve in curves}
    runs = [
        {**facts, "claims": claims.get(facts["sigma"], facts.get("claims", []))}
        for facts in earlier["runs"]
    ]
    if runs != earlier["runs"]:
        manifest = json.dumps({**earlier, "runs": runs}, indent=2)
        store.write("manifest.json", manifest.encode())


def certificates_file(found: Sequence[Certified]) -> bytes:
    """Return the certificates of one OUT as Parquet: same votes, same bytes.

    Args:
        found: the certificates, one sigma each.
    """
    tables = (one.certificates for one in found)
    rows = pa.concat_tables([CERTIFICATES.empty_table(), *tables]).sort_by(
        [("sigma", "ascending"), ("image_key", "ascending")]
    )
    identities = {f"{o.run.sigma:g}": digest(vote_identity(o.run)) for o in found}
    analyses = {f"{o.run.sigma:g}": _analysis(o.reading, o.certificates) for o in found}
    facts = {
        "units": json.dumps(UNITS, sort_keys=True),
        "analyses": json.dumps(analyses, sort_keys=True),
        "vote_identities": json.dumps(identities, sort_keys=True),
    }
    return to_bytes(rows, facts)


def write_manifest(
    store: Store,
    name: str,
    found: Sequence[Certified],
    curves: Sequence[Curve],
    *,
    flips: Sequence[float | None],
) -> None:
    """Write what a reader needs to trust the tables; a run without it is not finished.

    Args:
        store: of OUT.
        name: of the recipe.
        found: certificates and what they rest on, one sigma each.
        curves: of these, in the same order, with all claims; a cascade has no claim
            that is not among them.
        flips: one per sigma: share of votes that flip between conditions that were
            mixed just now, ``None`` where none were.
    """
    earlier = manifest_of(store)
    before = {facts["sigma"]: facts for facts in earlier.get("runs", [])}
    runs = []
    for one, curve, share in zip(found, single(curves), flips, strict=True):
        old = before.get(one.run.sigma, {})
        kept = old.get("share_of_votes_that_flip") if share is None else share
        more = {"share_of_votes_that_flip": kept, "claims": curve.claims}
        runs.append({**run_facts(one), **more})
    now = {one.run.sigma for one in found}
    others = [f for sigma, f in claims_by_sigma(earlier).items() if sigma not in now]
    manifest = {
        "recipe": name,
        "runs": runs,
        "claims_at_other_sigmas": others,
        **provenance(),
    }
    store.write("manifest.json", json.dumps(manifest, indent=2).encode())


def run_facts(found: Certified) -> dict:
    """Return what a manifest says of the certificates of one sigma, but for claims.

    Args:
        found: the certificates, and what they rest on.
    """
    run, certificates = found.run, found.certificates
    reasons = certificates["reason"].value_counts().to_pylist()
    return {
        "sigma": run.sigma,
        "vote_identity": vote_identity(run),
        "vote_identity_sha256": digest(vote_identity(run)),
        "analysis": _analysis(found.reading, certificates),
        "about": run.about.model_dump(),
        "certified_input": certified_input(run.data.preprocess),
        "images_asked_for": len(certificates),
        "images_done": len(certificates) - num_set_aside(certificates),
        "reasons": {entry["values"]: entry["counts"] for entry in reasons},
        "blocks_found_twice_and_different": found.num_differing,
        "conditions": stored_conditions(found.index),
    }


def _analysis(reading: Reading, certificates: pa.Table) -> dict:
    return {
        **reading.numbers,
        "subset": reading.run.data.subset,
        "subset_sha256": _digest_of_images(certificates),
    }


def _digest_of_images(certificates: pa.Table) -> str:
    rows = certificates.select(["image_key", "label"]).to_pylist()
    return subset_digest([Entry(r["image_key"], r["label"], None) for r in rows])


def num_set_aside(certificates: pa.Table) -> int:
    """Return how many images have no certificate because something failed."""
    usual = pc.is_in(certificates["reason"], pa.array(["certified", "abstained"]))
    return len(certificates) - (pc.sum(usual).as_py() or 0)
