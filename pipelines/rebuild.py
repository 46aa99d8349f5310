"""Rebuild everything from the votes alone, for one run or several beside each other."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store, open_store
from infra.tables import from_bytes
from pipelines.conditions import refuse_mixture_if_strict
from pipelines.curve import IMPORTED, Curve
from pipelines.identity import vote_identity
from pipelines.imported import imported_curve, is_imported
from pipelines.ledger import Ledger, ledger_of, read_ledger, require_identity
from pipelines.recipe import Recipe, Run, build_recipe
from pipelines.recipe_file import Raw, apply_setting, parse_yaml
from pipelines.report import render
from pipelines.results import (
    certificates_of,
    curve_of,
    write_manifest,
    write_results,
)

Item = TypeVar("Item")


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
        return rebuilt[0], stores[0]
    curves = _told_apart(rebuilt, stores)
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


def _told_apart(rebuilt: Sequence[list[Curve]], stores: Sequence[Store]) -> list[Curve]:
    """Return all curves, named by recipe, or by OUT where recipes are the same.

    Imported logs of one name and several sigmas stay one run, with an envelope.
    """
    if not _names_clash(rebuilt):
        return [curve for curves in rebuilt for curve in curves]
    folders = [store.url.rstrip("/").rsplit("/", 1)[-1] for store in stores]
    names = folders if len(set(folders)) == len(folders) else [s.url for s in stores]
    return [
        replace(curve, run=name)
        for name, curves in zip(names, rebuilt, strict=True)
        for curve in curves
    ]


def _names_clash(rebuilt: Sequence[list[Curve]]) -> bool:
    """Return whether OUTs share a name, other than one method's logs by sigma."""
    shared = _repeated([curves[0].run for curves in rebuilt])
    curves = [curve for own in rebuilt for curve in own]
    twice = {name for name, _ in _repeated([(c.run, c.sigma) for c in curves])}
    voted = {curve.run for curve in curves if curve.rule != IMPORTED}
    return bool(shared & (twice | voted))


def _repeated(items: Sequence[Item]) -> set[Item]:
    return {item for item, times in Counter(items).items() if times > 1}


def _rebuild_one(store: Store, settings: Sequence[str]) -> list[Curve]:
    if is_imported(store):
        curve = imported_curve(store)
        for name, content in render([curve]).items():
            store.write(f"report/{name}", content)
        return [curve]
    recipe = stored_recipe(store, settings)
    curves, ledgers = [], []
    for run in recipe.runs:
        ledger = read_ledger(store, run.sigma)
        require_identity(ledger, vote_identity(run), store.url)
        refuse_mixture_if_strict(ledger, run, store.url)
        labels = _labels(store, ledger)
        if not labels:
            raise ValueError(
                f"report needs votes; {store.url} has none at sigma {run.sigma:g}. "
                f"Run diffsmooth certify there first."
            )
        certificates = certificates_of(ledger, labels, run)
        _require_some_complete(certificates, run, store.url)
        curves.append(curve_of(recipe.name, run, certificates, ledger))
        ledgers.append(ledger)
    write_results(store, recipe, curves)
    write_manifest(store, recipe, curves, ledgers, flips=[None] * len(curves))
    return curves


def _require_some_complete(certificates: pa.Table, run: Run, where: str) -> None:
    incomplete = pc.equal(certificates["reason"], "incomplete")
    if pc.all(incomplete).as_py():
        raise ValueError(
            f"report needs {run.sampling.num_select} + {run.sampling.num_estimate} "
            f"votes of an image; {where} has them for none of {len(certificates)} at "
            f"sigma {run.sigma:g}. Run diffsmooth certify there, or ask for fewer."
        )


def _labels(store: Store, ledger: Ledger) -> dict[str, int]:
    """Return the true class of every image asked for, or of all that have votes."""
    if store.exists("images.parquet"):
        asked, _ = from_bytes(store.read("images.parquet"), store.url)
    else:
        asked = ledger.votes.filter(pc.not_equal(ledger.votes["stream"], "predict"))
    pairs = asked.group_by(["image_key", "label"]).aggregate([]).to_pylist()
    return {row["image_key"]: row["label"] for row in pairs}


def stored_recipe(store: Store, settings: Sequence[str]) -> Recipe:
    """Return the recipe an OUT was made with, from its file or from its votes.

    Args:
        store: of OUT.
        settings: ``field=value`` each.

    Raises:
        ValueError: there are no votes, or a setting does not fit.
    """
    names = [name for name in store.names("votes/") if name.endswith(".parquet")]
    if not names:
        raise ValueError(
            f"report needs an OUT of diffsmooth certify; {store.url} has no votes. "
            f"Check the path, or run diffsmooth certify there."
        )
    facts = ledger_of(store, names).metadata
    raw = _raw_recipe(store, [json.loads(fact["recipe"]) for fact in facts])
    for setting in settings:
        _refuse_other_images(setting)
        apply_setting(raw, setting)
    return build_recipe(raw, facts[0]["name"])


def _refuse_other_images(setting: str) -> None:
    if setting.startswith("data"):
        raise ValueError(
            f"report needs the images that certify was asked for; --set has {setting}. "
            f"Run diffsmooth certify with it; votes that are there are kept."
        )


def _raw_recipe(store: Store, runs: Sequence[Raw]) -> Raw:
    """Return the recipe as its file has it, else as the votes were asked for."""
    if store.exists("recipe.yaml"):
        text = store.read("recipe.yaml").decode()
        return parse_yaml(text, f"{store.url}/recipe.yaml")
    # Where N was raised between runs, the last of these asked for most votes.
    ordered = sorted(runs, key=lambda run: run["sampling"]["num_estimate"])
    by_sigma = {run["sigma"]: run for run in ordered}
    raw: Raw = {
        field: {"per_sigma": {sigma: run[field] for sigma, run in by_sigma.items()}}
        for field in ordered[0]
    }
    return {**raw, "sigma": sorted(by_sigma)}
