import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import timm

from pipelines.canonical import canonical, differences, digest
from pipelines.identity import vote_identity, without_places
from pipelines.recipe import Run

WEIGHTS = "classifier.weights={path: a.pt, sha256: '11'}"


@pytest.mark.parametrize(
    "setting",
    [
        "classifier.weights={path: elsewhere/b.th, format: checkpoint, sha256: '11'}",
        "plan=staged",
        "stages.fused.actors=7",
        "stages.unit_votes=5",
        "batch=20",
        "compile=true",
        "sampling.num_select=20",
        "sampling.num_estimate=1000",
        "sampling.num_predict=50",
        "sampling.failure_probability=0.01",
        "tracking.uri=sqlite:///x.db",
        "ray.address=auto",
        "data.subset=first:2",
        "data.subset=random:2:0",
        "strict=true",
    ],
)
def test_what_no_vote_depends_on_keeps_the_identity(
    run_of: Callable[..., Run], setting: str
) -> None:
    assert vote_identity(run_of(WEIGHTS, setting)) == vote_identity(run_of(WEIGHTS))


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("seed=1", "seed"),
        ("sigma=0.5", "sigma"),
        ("classifier.weights.sha256='22'", "classifier.weights.sha256"),
        ("classifier.weights={untrained: 1}", "classifier.weights.untrained"),
        ("classifier.num_classes=11", "classifier.num_classes"),
        ("classifier.input={kind: center, mean: [0.5]}", "classifier.input.kind"),
        ("local.sigma=0.13", "local.sigma"),
        ("local.num=4", "local.num"),
        ("local.noise=fresh", "local.noise"),
        ("local.distribution=laplace", "local.distribution"),
        ("local.seed=1", "local.seed"),
        ("precision=bfloat16", "precision"),
        ("sampling.block=5", "block"),
        ("data.preprocess=cohen_224", "preprocess"),
        ("data.preprocess=adm_center:64", "preprocess"),
        ("purifier={kind: one_shot_ddpm, weights: {path: p}}", "purifier.kind"),
    ],
)
def test_what_votes_depend_on_changes_the_identity_in_the_field_named(
    run_of: Callable[..., Run], setting: str, field: str
) -> None:
    one, other = vote_identity(run_of(WEIGHTS)), vote_identity(run_of(WEIGHTS, setting))

    changed = [line.partition(":")[0] for line in differences(one, other)]

    assert field in changed
    assert digest(one) != digest(other)


TIMM = "classifier={kind: timm, name: resnet18.tv_in1k, weights: {untrained: 0}}"


def test_what_timm_says_of_a_network_is_part_of_the_identity(
    run_of: Callable[..., Run],
) -> None:
    assert vote_identity(run_of(TIMM))["classifier"]["timm"] == {
        "size": [224, 224],
        "interpolation": "bilinear",
        "input": {
            "kind": "normalize",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
    }
    assert "timm" not in vote_identity(run_of())["classifier"]


def test_another_timm_that_says_otherwise_is_told_field_by_field(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(TIMM)
    stored = json.loads(canonical(vote_identity(run)))
    other = timm.get_pretrained_cfg("resnet18.a1_in1k")
    assert other is not None
    other = replace(other, input_size=(3, 288, 288), mean=(0.5, 0.5, 0.5))
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: other)

    assert differences(stored, vote_identity(run)) == [
        "classifier.timm.input.mean: [0.485, 0.456, 0.406], now [0.5, 0.5, 0.5]",
        "classifier.timm.interpolation: 'bilinear', now 'bicubic'",
        "classifier.timm.size: [224, 224], now [288, 288]",
    ]


def test_mean_and_std_of_timm_do_not_count_where_the_recipe_has_its_own(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(TIMM, "classifier.input=half")
    before = vote_identity(run)
    own = timm.get_pretrained_cfg("resnet18.tv_in1k")
    assert own is not None
    monkeypatch.setattr(
        timm, "get_pretrained_cfg", lambda name: replace(own, mean=(0.1, 0.1, 0.1))
    )

    assert vote_identity(run) == before


MEMBERS = "classifier={kind: ensemble, members: [%s, %s]}"
FIRST = "{kind: digits_cnn, weights: {path: a.pt, sha256: '11'}}"


def test_where_the_weights_of_members_lie_says_nothing_about_votes(
    run_of: Callable[..., Run],
) -> None:
    moved = "{kind: digits_cnn, weights: {path: b.pt, licence: MIT, sha256: '11'}}"
    named = "{kind: digits_cnn, weights: {recipe: r, settings: [a=1], sha256: '11'}}"
    one, *others = (
        vote_identity(run_of(MEMBERS % (FIRST, other)))
        for other in (FIRST, moved, named)
    )
    assert others == [one, one]


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ("weights: {path: a.pt, sha256: '22'}", "weights.sha256"),
        ("weights: {path: a.pt, sha256: '11'}, input: half", "input.kind"),
    ],
)
def test_what_a_member_is_changes_the_identity_in_the_field_named(
    run_of: Callable[..., Run], other: str, field: str
) -> None:
    one = vote_identity(run_of(MEMBERS % (FIRST, FIRST)))
    changed = vote_identity(run_of(MEMBERS % (FIRST, f"{{kind: digits_cnn, {other}}}")))
    names = [line.partition(":")[0] for line in differences(one, changed)]
    assert f"classifier.members.1.{field}" in names
    assert not [name for name in names if "members.0" in name]


def test_what_timm_says_of_a_member_is_part_of_the_identity(
    run_of: Callable[..., Run],
) -> None:
    timms = "{kind: timm, name: resnet18.tv_in1k, weights: {untrained: 0}}"
    found = vote_identity(run_of(MEMBERS % (timms, timms)))
    alone = vote_identity(run_of(TIMM))["classifier"]
    assert found["classifier"]["members"] == {"0": alone, "1": alone}
    assert "timm" in alone


def test_places_are_left_out_inside_lists_too() -> None:
    weights = {"path": "a", "sha256": "11"}
    part = {"parts": [{"weights": weights}, [{"weights": weights}], 3]}
    kept = {"weights": {"sha256": "11"}}
    assert without_places(part) == {"parts": [kept, [kept], 3]}


def test_a_difference_tells_old_and_new() -> None:
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}) == [
        "a.b: 1, now 3"
    ]


def test_an_identity_survives_json_and_any_order_of_fields(
    run_of: Callable[..., Run],
) -> None:
    identity = vote_identity(run_of())
    read = json.loads(json.dumps(identity))
    turned = dict(reversed(read.items()))

    assert differences(read, identity) == []
    assert canonical(turned) == canonical(identity)
    assert digest(turned) == digest(identity)
