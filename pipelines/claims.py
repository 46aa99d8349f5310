"""What has been claimed of the votes of one sigma: each claim may be wrong anew.

Votes may be read again with another N, failure probability or rule. Each such reading
can err by itself, so what is said of an image is only as sure as all of them together.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Claim = Mapping[str, Any]
"""``failure_probability``, the other numbers it was made with, and ``subsets``."""

_OF_SUBSET = ("subset", "subset_sha256")


def claim_of(analysis: Mapping[str, Any]) -> Claim:
    """Return the claim that one analysis of some votes makes.

    Args:
        analysis: its numbers; ``subset`` and ``subset_sha256`` say of which images, and
            do not tell claims apart.
    """
    numbers = {k: v for k, v in analysis.items() if k not in _OF_SUBSET}
    subset = {k: analysis[k] for k in _OF_SUBSET if k in analysis}
    return {"subsets": [subset] if subset else [], **numbers}


def joined(claims: Iterable[Claim]) -> list[Claim]:
    """Return claims with those of the same numbers as one, in order of the first.

    Args:
        claims: of the votes of one sigma; an earlier version's name one subset each.
    """
    found: list[Claim] = []
    for claim in claims:
        one = claim if "subsets" in claim else claim_of(claim)
        place = next((i for i, old in enumerate(found) if _same(old, one)), None)
        if place is None:
            found.append(one)
        else:
            found[place] = _with_subsets(found[place], one["subsets"])
    return found


def claims_with(
    analysis: Mapping[str, Any], votes: str, before: Mapping[str, Any] | None
) -> list[Claim]:
    """Return what was ever claimed of some votes, and what is claimed now.

    Args:
        analysis: what is claimed now, as :func:`claim_of` takes it.
        votes: SHA-256 of their identity.
        before: of the same sigma, from :func:`claims_by_sigma`; what was claimed of
            votes of another identity is passed over.
    """
    same = before is not None and before["vote_identity_sha256"] == votes
    return joined([*(before["claims"] if before and same else []), analysis])


def claims_by_sigma(manifest: Mapping[str, Any]) -> dict[float, dict[str, Any]]:
    """Return the claims that a manifest lists, by sigma.

    Args:
        manifest: of OUT; empty if there is none yet, and an earlier version's may list
            no claims but the analysis of each run.

    Returns:
        ``sigma``, ``vote_identity_sha256`` and ``claims`` of each.
    """
    listed = [*manifest.get("claims_at_other_sigmas", []), *manifest.get("runs", [])]
    return {facts["sigma"]: _listed(facts) for facts in listed}


def further_claims(claims: Sequence[Claim]) -> str:
    """Say how sure all claims are together; nothing if there is only one.

    Args:
        claims: of the votes of one sigma.
    """
    if len(claims) < 2:
        return ""
    return (
        f"{len(claims)} claims rest on these votes; their failure probabilities add up "
        f"to {failure_probability_of(claims):g}."
    )


def failure_probability_of(claims: Iterable[Claim]) -> float:
    """Return how probable it is at most that one of an image's claims is wrong.

    Args:
        claims: of the votes of one sigma.
    """
    return math.fsum(claim["failure_probability"] for claim in claims)


def _listed(facts: Mapping[str, Any]) -> dict[str, Any]:
    made = [facts["analysis"]] if "analysis" in facts else []
    return {
        "sigma": facts["sigma"],
        "vote_identity_sha256": facts.get("vote_identity_sha256"),
        "claims": joined(facts.get("claims", made)),
    }


def _same(one: Claim, other: Claim) -> bool:
    return {**one, "subsets": None} == {**other, "subsets": None}


def _with_subsets(claim: Claim, more: Sequence[Mapping[str, Any]]) -> Claim:
    known = claim["subsets"]
    return {**claim, "subsets": [*known, *(one for one in more if one not in known)]}
