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
from infra.tables import to_bytes
from pipelines.certificates import CERTIFICATES, UNITS, certify_votes
from pipelines.curve import Curve
from pipelines.identity import digest, vote_identity
from pipelines.ledger import Ledger
from pipelines.recipe import Recipe, Run
from pipelines.report import render


def certificates_of(ledger: Ledger, labels: Mapping[str, int], run: Run) -> pa.Table:
    """Return the certificates that a ledger gives for some images, in this process."""
    return certify_votes(ledger.votes, labels, run)


def curve_of(name: str, run: Run, certificates: pa.Table, ledger: Ledger) -> Curve:
    """Return one sigma of a run as the report draws it.

    Args:
        name: of the run.
        run: at this sigma.
        certificates: of this sigma.
        ledger: the votes they rest on.
    """
    spent = ledger.votes.group_by("image_key").aggregate([("seconds", "sum")])
    keys, seconds = spent["image_key"].to_pylist(), spent["seconds_sum"].to_pylist()
    return Curve(
        run=name,
        sigma=run.sigma,
        certificates=certificates,
        dataset=run.data.source.name,
        num_estimate=run.sampling.num_estimate,
        failure_probability=run.sampling.failure_probability,
        rule=run.rule.kind,
        seconds=dict(zip(keys, seconds, strict=True)),
        remark=f"Subset {run.data.subset}, {_digest_of_images(certificates)[:12]}.",
    )


def write_results(store: Store, recipe: Recipe, curves: Sequence[Curve]) -> None:
    """Write the certificates and the report of one OUT.

    Args:
        store: of OUT.
        recipe: whose runs the curves are of.
        curves: one per sigma.
    """
    tables = [CERTIFICATES.empty_table(), *(curve.certificates for curve in curves)]
    certificates = pa.concat_tables(tables).sort_by(
        [("sigma", "ascending"), ("image_key", "ascending")]
    )
    identities = {f"{run.sigma:g}": digest(vote_identity(run)) for run in recipe.runs}
    facts = {
        "units": json.dumps(UNITS, sort_keys=True),
        "vote_identities": json.dumps(identities, sort_keys=True),
    }
    store.write("certificates.parquet", to_bytes(certificates, facts))
    for name, content in render(curves).items():
        store.write(f"report/{name}", content)


def write_manifest(
    store: Store,
    recipe: Recipe,
    curves: Sequence[Curve],
    ledgers: Sequence[Ledger],
    *,
    flips: Sequence[float | None],
) -> None:
    """Write what a reader needs to trust the tables; a run without it is not finished.

    Args:
        store: of OUT.
        recipe: whose runs the curves are of.
        curves: one per sigma.
        ledgers: one per sigma, in the same order.
        flips: one per sigma: share of votes that flip between conditions that were
            mixed just now, ``None`` where none were.
    """
    before = _runs_before(store)
    runs = []
    rows = zip(recipe.runs, curves, ledgers, flips, strict=True)
    for run, curve, ledger, share in rows:
        facts, old = _run_facts(run, curve, ledger), before.get(run.sigma, {})
        kept = old.get("share_of_votes_that_flip") if share is None else share
        claims = [c for c in old.get("claims", []) if c != facts["analysis"]]
        more = {
            "share_of_votes_that_flip": kept,
            "claims": [*claims, facts["analysis"]],
        }
        runs.append({**facts, **more})
    manifest = {"recipe": recipe.name, "runs": runs, **provenance()}
    store.write("manifest.json", json.dumps(manifest, indent=2).encode())


def _runs_before(store: Store) -> dict[float, dict]:
    """Return what an earlier manifest says of each sigma."""
    if not store.exists("manifest.json"):
        return {}
    earlier = json.loads(store.read("manifest.json"))
    return {facts["sigma"]: facts for facts in earlier["runs"]}


def _run_facts(run: Run, curve: Curve, ledger: Ledger) -> dict:
    certificates = curve.certificates
    reasons = certificates["reason"].value_counts().to_pylist()
    return {
        "sigma": run.sigma,
        "vote_identity": vote_identity(run),
        "vote_identity_sha256": digest(vote_identity(run)),
        "analysis": {
            "num_select": run.sampling.num_select,
            "num_estimate": run.sampling.num_estimate,
            "failure_probability": run.sampling.failure_probability,
            "rule": run.rule.model_dump(mode="json"),
            "subset": run.data.subset,
            "subset_sha256": _digest_of_images(certificates),
        },
        "certified_input": certified_input(run.data.preprocess),
        "images_asked_for": len(certificates),
        "images_done": len(certificates) - num_set_aside(certificates),
        "reasons": {entry["values"]: entry["counts"] for entry in reasons},
        "blocks_found_twice_and_different": ledger.num_differing,
        "conditions": sorted(set(ledger.votes["conditions"].to_pylist()) - {"{}"}),
    }


def _digest_of_images(certificates: pa.Table) -> str:
    rows = certificates.select(["image_key", "label"]).to_pylist()
    return subset_digest([Entry(r["image_key"], r["label"], None) for r in rows])


def num_set_aside(certificates: pa.Table) -> int:
    """Return how many images have no certificate because something failed."""
    usual = pc.is_in(certificates["reason"], pa.array(["certified", "abstained"]))
    return len(certificates) - (pc.sum(usual).as_py() or 0)
