"""Rebuild everything from the votes alone, for one run or several beside each other."""

import json
from collections.abc import Sequence

from infra.object_store import Store, open_store
from pipelines.curve import Curve
from pipelines.identity import vote_identity
from pipelines.ledger import Ledger, read_ledger, require_identity
from pipelines.recipe import Recipe, build_recipe
from pipelines.recipe_file import Raw, apply_setting, parse_yaml
from pipelines.report import render
from pipelines.results import (
    certificates_of,
    curve_of,
    write_manifest,
    write_results,
)


def rebuild(
    uris: Sequence[str], settings: Sequence[str], out: str | None
) -> tuple[list[Curve], Store]:
    """Make certificates, tables and curves anew from the votes of some OUTs.

    Each OUT gets its own certificates and report again; several also get one report
    together.

    Args:
        uris: OUT of one or more runs.
        settings: ``field=value`` each; what does not touch the vote identity may change.
        out: where several runs' report goes; ``None``: ``runs/report``.

    Returns:
        All curves, and the store their common report lies in.

    Raises:
        ValueError: an OUT holds no votes, or a setting would need others.
    """
    stores = [open_store(uri) for uri in uris]
    curves = [curve for store in stores for curve in _rebuild_one(store, settings)]
    if len(stores) == 1:
        return curves, stores[0]
    together = open_store(out or "runs/report")
    for name, content in render(curves).items():
        together.write(f"report/{name}", content)
    return curves, together


def _rebuild_one(store: Store, settings: Sequence[str]) -> list[Curve]:
    recipe = stored_recipe(store, settings)
    curves, ledgers = [], []
    for run in recipe.runs:
        ledger = read_ledger(store, run.sigma)
        require_identity(ledger, vote_identity(run), store.url)
        labels = _labels(ledger)
        if not labels:
            raise ValueError(
                f"report needs votes; {store.url} has none at sigma {run.sigma:g}. "
                f"Run diffsmooth certify there first."
            )
        certificates = certificates_of(ledger, labels, run)
        curves.append(curve_of(recipe.name, run, certificates, ledger))
        ledgers.append(ledger)
    write_results(store, recipe, curves)
    write_manifest(store, recipe, curves, ledgers)
    return curves


def _labels(ledger: Ledger) -> dict[str, int]:
    """Return the true class of every image that has votes for a certificate."""
    pairs = ledger.votes.select(["image_key", "label", "stream"])
    return {
        row["image_key"]: row["label"]
        for row in pairs.group_by(["image_key", "label", "stream"])
        .aggregate([])
        .to_pylist()
        if row["stream"] == "estimate"
    }


def stored_recipe(store: Store, settings: Sequence[str]) -> Recipe:
    """Return the recipe an OUT was made with, from its file or from its votes.

    Args:
        store: of OUT.
        settings: ``field=value`` each.

    Raises:
        ValueError: there is neither, or a setting does not fit.
    """
    raw = _raw_recipe(store)
    for setting in settings:
        apply_setting(raw, setting)
    return build_recipe(raw, store.url.rstrip("/").rsplit("/", 1)[-1])


def _raw_recipe(store: Store) -> Raw:
    if store.exists("recipe.yaml"):
        text = store.read("recipe.yaml").decode()
        return parse_yaml(text, f"{store.url}/recipe.yaml")
    from pipelines.ledger import ledger_of

    names = [name for name in store.names("votes") if name.endswith(".parquet")]
    if not names:
        raise ValueError(
            f"report needs an OUT of diffsmooth certify; {store.url} has no recipe.yaml "
            f"and no votes. Check the path."
        )
    runs = [json.loads(f["recipe"]) for f in ledger_of(store, names).metadata]
    by_sigma = {run["sigma"]: run for run in runs}
    fields = list(runs[0])
    raw: Raw = {
        f: {"per_sigma": {s: r[f] for s, r in by_sigma.items()}} for f in fields
    }
    return {**raw, "sigma": sorted(by_sigma)}
