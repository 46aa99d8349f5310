"""What a vote depends on: the vote identity of a run."""

from typing import Any

from ops import lattice, noise
from ops.classify.classifier import Classifier
from ops.classify.ensemble import Ensemble
from ops.classify.timm import Timm
from pipelines.canonical import Identity
from pipelines.ledger import vote_metadata
from pipelines.recipe import Run

NOT_PART = ("path", "format", "recipe", "settings", "hub", "revision", "licence")
"""Where weights lie and their terms say nothing about votes; their sha256 does."""


def vote_identity(run: Run) -> Identity:
    """Return everything that a run's votes depend on, besides the image itself.

    Args:
        run: with weights resolved to their sha256.
    """
    return {
        "sigma": run.sigma,
        "seed": run.seed,
        "block": run.sampling.block,
        "noise": noise.SCHEME if run.noise == "gaussian" else lattice.SCHEME,
        "preprocess": run.data.preprocess,
        "purifier": without_places(run.purifier.model_dump(mode="json")),
        "classifier": _classifier(run.classifier),
        "local": run.local.model_dump(mode="json"),
        "precision": run.precision,
    }


def vote_facts(run: Run, name: str) -> dict[str, str]:
    """Return the facts that are written with every file of a run's votes.

    Args:
        run: with weights resolved.
        name: of the recipe.
    """
    return vote_metadata(vote_identity(run), run.model_dump(mode="json"), name)


def _classifier(classifier: Classifier) -> Identity:
    described = without_places(classifier.model_dump(mode="json"))
    if isinstance(classifier, Timm):
        # Another version of timm may say otherwise under the same name.
        described["timm"] = classifier.data_config().model_dump(mode="json")
    if isinstance(classifier, Ensemble):
        # By number, so that a difference names its member.
        members = enumerate(classifier.members)
        described["members"] = {str(n): _classifier(one) for n, one in members}
    return described


def without_places(part: Any) -> Any:
    """Return a part of a recipe without what says only where its weights lie.

    Args:
        part: as a model dumps it: mappings, lists and plain values.
    """
    if isinstance(part, list):
        return [without_places(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    return {
        key: (
            {k: v for k, v in entry.items() if k not in NOT_PART}
            if key == "weights"
            else without_places(entry)
        )
        for key, entry in part.items()
    }
