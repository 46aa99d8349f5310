"""The votes of an OUT counted anew, with what it says of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pydantic import TypeAdapter

from infra.object_store import Store
from infra.tables import from_bytes
from ops.certify.rule import Rule
from pipelines.about import About
from pipelines.certify_stage import Certified, certify_here
from pipelines.imported import manifest_of
from pipelines.ledger import folder
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.rebuild import Indexes, stored_indexes, stored_recipe
from pipelines.recipe import Recipe, Run

_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


@dataclass(frozen=True)
class Recount:
    """What an OUT's votes give, made anew, and what was stored of it."""

    store: Store
    recipe: Recipe
    """With the numbers that were last claimed, and what was last said of it."""

    indexes: Indexes
    """Of the votes of every sigma, by folder."""

    asked: pa.Table
    """The images asked for: ``image_key``, ``label``, ``sha256``."""

    found: tuple[Certified, ...]
    """Certificates made anew, one sigma each."""

    manifest: Mapping
    """Of OUT; empty if there is none."""

    @property
    def labels(self) -> dict[str, int]:
        """True class by key of the images asked for."""
        columns = (self.asked[name].to_pylist() for name in ("image_key", "label"))
        return dict(zip(*columns, strict=True))


def recount(store: Store) -> Recount:
    """Certify the images of an OUT anew from its votes, group by group.

    Args:
        store: of OUT, whose vote files are whole.

    Raises:
        ValueError: the recipe, the list of images or the manifest is broken.
        FileNotFoundError: there is no list of images.
    """
    indexes, manifest = stored_indexes(store), manifest_of(store)
    recipe = _as_analysed(stored_recipe(store, indexes, []), manifest)
    place = f"{store.url}/images.parquet"
    asked, _ = from_bytes(store.read("images.parquet"), place)
    columns = (asked[name].to_pylist() for name in ("image_key", "label"))
    labels = dict(zip(*columns, strict=True))
    found = []
    for run in recipe.runs:
        index = indexes.get(folder(run.sigma)) or LedgerIndex(store, run.sigma)
        reading = reading_of(run, len(labels))
        found.append(certify_here(store, reading, index, labels))
    return Recount(store, recipe, indexes, asked, tuple(found), manifest)


def _as_analysed(recipe: Recipe, manifest: Mapping) -> Recipe:
    """Return a recipe with what was last claimed and said; it may be something else."""
    last = {facts["sigma"]: facts for facts in manifest.get("runs", [])}
    runs = tuple(_as_last(run, last.get(run.sigma, {})) for run in recipe.runs)
    return recipe.model_copy(update={"runs": runs})


def _as_last(run: Run, facts: Mapping) -> Run:
    about = About.model_validate(facts["about"]) if "about" in facts else run.about
    claimed = _with_claim(run, facts.get("analysis", {}))
    return claimed.model_copy(update={"about": about})


def _with_claim(run: Run, claim: Mapping) -> Run:
    numbers = ("num_select", "num_estimate", "failure_probability")
    told = {name: claim[name] for name in numbers if name in claim}
    for name in ("cascade_failure_probability", "family_wise_failure_probability"):
        if name in claim:  # the last holds what the recipe says
            told["failure_probability"] = claim[name]
    sampling = {**run.sampling.model_dump(), **told}
    more = {"rule": _RULE.validate_python(claim["rule"])} if "rule" in claim else {}
    sampled = type(run.sampling).model_validate(sampling)
    return run.model_copy(update={"sampling": sampled, **more})
