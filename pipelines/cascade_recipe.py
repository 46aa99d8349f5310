"""What a cascade asks of a recipe: one rule and one promise for all its sigmas."""

from collections.abc import Sequence

from pipelines.recipe_file import Raw

KIND = "cascade"


def with_stages(raws: Sequence[Raw], name: str) -> list[Raw]:
    """Return a recipe's mappings with the sigmas of its cascade, if it has one.

    Args:
        raws: one per sigma, each with its ``sigma``.
        name: of the recipe, for the message.

    Raises:
        ValueError: the rule or its failure probability is not the same at all sigmas,
            or the rule lists stages that lack one of them.
    """
    rules = [_part(raw, "rule") for raw in raws]
    if all(rule.get("kind") != KIND for rule in rules):
        return list(raws)
    promised = [_part(raw, "sampling").get("failure_probability") for raw in raws]
    for field, told in (("rule", rules), ("sampling.failure_probability", promised)):
        if any(one != told[0] for one in told):
            raise ValueError(
                f"Recipe {name}: rule cascade needs one {field} for all sigmas; it has "
                f"{' and '.join(map(str, told))}. Leave out per_sigma there."
            )
    stages = sorted((raw["sigma"] for raw in raws), reverse=True)
    _require_held(stages, rules[0].get("stages"), name)
    return [{**raw, "rule": {**rules[0], "stages": stages}} for raw in raws]


def _part(raw: Raw, name: str) -> Raw:
    """Return a part of a recipe; what is no mapping is refused where it is read."""
    part = raw.get(name)
    return part if isinstance(part, dict) else {}


def _require_held(stages: Sequence[float], told: object, name: str) -> None:
    """Refuse stages that are told and others; those of more sigmas may be left over."""
    if told is None or (isinstance(told, list) and all(s in told for s in stages)):
        return
    raise ValueError(
        f"Recipe {name}: rule cascade needs rule.stages to be its sigmas; it has "
        f"{told}, and sigma {list(stages)}. Leave rule.stages out: it follows."
    )
