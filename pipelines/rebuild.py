"""Rebuild everything from the votes alone, for one run or several beside each other."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store, open_store
from infra.tables import from_bytes
from ops.vote.streams import CLEAN
from pipelines.certificates import INCOMPLETE
from pipelines.certify_stage import Certified, certify_here
from pipelines.conditions import refuse_mixture_if_strict
from pipelines.curve import Curve
from pipelines.identity import vote_identity
from pipelines.imported import imported_curve, is_imported
from pipelines.ledger import folder, require_identity, stored_sigmas
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.recipe import Recipe, Run, build_recipe, validated
from pipelines.recipe_file import Raw, apply_setting, parse_yaml
from pipelines.report import render
from pipelines.resolved import resolved_yaml
from pipelines.results import curves_of, write_manifest, write_results
from pipelines.run_names import Reported, told_apart
from pipelines.seen_images import require_same_images
from pipelines.stored_tables import require_same_table

Indexes = Mapping[str, LedgerIndex]


def rebuild(
    uris: Sequence[str], settings: Sequence[str], out: str | None
) -> tuple[list[Curve], Store]:
    """Make certificates, tables and curves anew from the votes of some OUTs.

    Each OUT gets its own certificates and report again; several also get one report
    together. An imported log has no votes: its certificates are read as they are.

    Args:
        uris: OUT of one or more runs.
        settings: ``field=value`` each, of what the vote identity does not hold.
        out: where the common report goes; ``None``: ``runs/report`` for several runs.

    Returns:
        All curves, and the store their common report lies in.

    Raises:
        ValueError: an OUT holds no votes, or a setting would need others.
    """
    stores = [open_store(uri) for uri in uris]
    _refuse_settings_of_imports(stores, settings)
    rebuilt = [_rebuild_one(store, settings) for store in stores]
    if len(stores) == 1 and out is None:
        return list(rebuilt[0].curves), stores[0]
    curves = told_apart(rebuilt)
    together = open_store(out or "runs/report")
    for name, content in render(curves).items():
        together.write(f"report/{name}", content)
    return curves, together


def _refuse_settings_of_imports(
    stores: Sequence[Store], settings: Sequence[str]
) -> None:
    for store in stores if settings else ():
        if is_imported(store):
            raise ValueError(
                f"report --set needs votes to certify anew; {store.url} holds an "
                f"imported log and no votes, and --set has {', '.join(settings)}. "
                f"Import the log again with other settings, or leave out --set."
            )


def _rebuild_one(store: Store, settings: Sequence[str]) -> Reported:
    if is_imported(store):
        curve = imported_curve(store)
        for name, content in render([curve]).items():
            store.write(f"report/{name}", content)
        return Reported(curve.run, store.url, [curve])
    indexes = stored_indexes(store)
    recipe = stored_recipe(store, indexes, settings)
    found = [_certified(store, indexes, run) for run in recipe.runs]
    curves = curves_of(store, recipe.name, found)
    write_results(store, found, curves)
    write_manifest(store, recipe.name, found, curves, flips=[None] * len(found))
    return Reported(recipe.name, store.url, curves)


def _certified(store: Store, indexes: Indexes, run: Run) -> Certified:
    index = indexes.get(folder(run.sigma)) or LedgerIndex(store, run.sigma)
    require_identity(index.metadata, vote_identity(run), store.url)
    refuse_mixture_if_strict(index, run, store.url)
    require_same_images(index.images(), _digests(store), store.url)
    labels = _labels(store, index)
    if not labels:
        raise ValueError(
            f"report needs votes; {store.url} has none at sigma {run.sigma:g}. "
            f"Run diffsmooth certify there first."
        )
    reading = reading_of(run, len(labels))
    require_same_table(store, index, reading)
    found = certify_here(store, reading, index, labels)
    _require_some_complete(found, store.url)
    return found


def _require_some_complete(found: Certified, where: str) -> None:
    certificates, block = found.certificates, found.run.sampling.block
    incomplete = pc.equal(certificates["reason"], INCOMPLETE)
    if pc.all(incomplete).as_py():
        noisy = [n * block for s, n in found.reading.blocks.items() if s != CLEAN]
        at_most = "" if found.reading.table is None else "up to "
        raise ValueError(
            f"report needs {at_most}{' + '.join(map(str, noisy))} votes of an image; "
            f"{where} has them for none of {len(certificates)} at sigma "
            f"{found.run.sigma:g}. Run diffsmooth certify there, or ask for fewer."
        )


def _digests(store: Store) -> dict[str, str]:
    """Return the SHA-256 of every image asked for, by key, where it is known."""
    if not store.exists("images.parquet"):
        return {}
    asked, _ = from_bytes(store.read("images.parquet"), store.url)
    if "sha256" not in asked.column_names:
        return {}
    pairs = (asked[name].to_pylist() for name in ("image_key", "sha256"))
    return dict(zip(*pairs, strict=True))


def _labels(store: Store, index: LedgerIndex) -> dict[str, int]:
    """Return the true class of every image asked for, or of all that have votes."""
    if store.exists("images.parquet"):
        asked, _ = from_bytes(store.read("images.parquet"), store.url)
    else:
        asked = index.images()
        keys = index.keys_with(("clean", "select", "estimate"))
        asked = asked.filter(pc.is_in(asked["image_key"], pa.array(keys, pa.string())))
    columns = (asked[name].to_pylist() for name in ("image_key", "label"))
    return dict(zip(*columns, strict=True))


def stored_indexes(store: Store) -> Indexes:
    """Return what is known of the votes in an OUT, by the folder of each sigma."""
    return {folder(sigma): LedgerIndex(store, sigma) for sigma in stored_sigmas(store)}


def stored_recipe(store: Store, indexes: Indexes, settings: Sequence[str]) -> Recipe:
    """Return the recipe an OUT was made with, from its file or from its votes.

    Args:
        store: of OUT.
        indexes: from :func:`stored_indexes`.
        settings: ``field=value`` each.

    Raises:
        ValueError: there are no votes, or a setting does not fit.
    """
    facts = [fact for index in indexes.values() for fact in index.metadata]
    if not facts:
        raise ValueError(
            f"report needs an OUT of diffsmooth certify; {store.url} has no votes. "
            f"Check the path, or run diffsmooth certify there."
        )
    name = facts[0]["name"]
    raw = _raw_recipe(store, [json.loads(fact["recipe"]) for fact in facts], name)
    for setting in settings:
        _refuse_other_images(setting)
        apply_setting(raw, setting)
    return build_recipe(raw, name)


def _refuse_other_images(setting: str) -> None:
    if setting.startswith("data"):
        raise ValueError(
            f"report needs the images that certify was asked for; --set has {setting}. "
            f"Run diffsmooth certify with it; votes that are there are kept."
        )


def _raw_recipe(store: Store, runs: Sequence[Raw], name: str) -> Raw:
    """Return the recipe as its file has it, else as the votes were asked for."""
    if store.exists("recipe.yaml"):
        text = store.read("recipe.yaml").decode()
        return parse_yaml(text, f"{store.url}/recipe.yaml")
    whole = (validated(Run, run, name) for run in runs)
    # Where N was raised between runs, the last of these asked for most votes.
    ordered = sorted(whole, key=lambda run: run.sampling.num_estimate)
    by_sigma = {run.sigma: run for run in ordered}
    last = tuple(by_sigma[sigma] for sigma in sorted(by_sigma))
    resolved = resolved_yaml(Recipe(name=name, runs=last, raw={}))
    return parse_yaml(resolved, f"the votes of {store.url}")
