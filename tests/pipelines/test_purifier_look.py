"""What a look at a purifier measures, against what it must be."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ops.noise import gaussian, noise_key
from ops.vote.majority import majority
from pipelines import purifier_look
from pipelines.purifier_distance import Distance, features_of
from pipelines.purifier_look import Looked, look
from pipelines.purifier_methods import methods_at
from pipelines.purifier_quality import quality
from pipelines.recipe import Recipe, Run, build_recipe
from pipelines.sample import STREAM, Sample, decoded_sample
from pipelines.stages import ops_of, run_op
from pipelines.worker import WorkerSettings

NETWORK: dict[str, Any] = {
    "weights": {"untrained": 0},
    "scheduler": {
        "prediction_type": "epsilon",
        "beta_schedule": "squaredcos_cap_v2",
        "num_train_timesteps": 50,
    },
    "unet": {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": [8, 8],
        "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
        "add_attention": False,
    },
}
CHAIN = {
    **NETWORK,
    "kind": "reverse_chain",
    "steps": 2,
    "samples": 3,
}
Look = Callable[..., Looked]


@pytest.fixture(autouse=True)
def _timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purifier_look, "TIMING_SECONDS", 0.0)


@pytest.fixture
def sample(run_of: Callable[..., Run]) -> Sample:
    data = run_of().data
    return decoded_sample(data, data.source.entries()[:7], asked_by="tests")[0]


@pytest.fixture
def look_at(sample: Sample, settings_of: Callable[[Run], WorkerSettings]) -> Look:
    """Return what looks at a run, with its own classifier as the metric."""

    def at(run: Run, images: Sample = sample) -> Looked:
        metric = features_of(run.classifier).metric
        return look(run, images, settings_of(run), metric, 4)

    return at


@pytest.fixture
def chain(small: dict[str, Any]) -> Run:
    return build_recipe({**small, "purifier": CHAIN}, "chain").runs[0]


def noise_of(run: Run, sample: Sample) -> torch.Tensor:
    """Return the noise of the first copies, from the key that names them."""
    keys = [noise_key(run.seed, run.sigma, key, STREAM, 0) for key in sample.keys]
    return torch.cat([run.sigma * gaussian(key, 0, 1, (1, 8, 8)) for key in keys])


def test_where_nothing_purifies_all_numbers_are_those_of_the_noise(
    run_of: Callable[..., Run],
    look_at: Look,
    sample: Sample,
    settings_of: Callable[[Run], WorkerSettings],
) -> None:
    run = run_of()
    noise = noise_of(run, sample)
    noisy = torch.from_numpy(np.stack(sample.images)) + noise

    looked = look_at(run)

    def ratio(error: torch.Tensor) -> np.ndarray:
        return -10 * error.double().square().mean(dim=(1, 2, 3)).log10().numpy()

    np.testing.assert_allclose(looked.purified_psnr, ratio(noise), atol=1e-4)
    cut = noisy.clamp(0, 1) - torch.from_numpy(np.stack(sample.images))
    np.testing.assert_allclose(looked.noisy_psnr, ratio(cut), atol=1e-4)
    assert (looked.noisy_psnr > looked.purified_psnr).all()
    np.testing.assert_array_equal(looked.noisy_distance, looked.purified_distance)
    with torch.inference_mode():
        scores = run.classifier.open(settings_of(run).open())(noisy)
    np.testing.assert_array_equal(looked.purified_class, scores.argmax(dim=1))
    np.testing.assert_array_equal(looked.noisy, looked.purified)
    line = quality("m", run, looked, sample.labels, distance="d")
    exact = float(noise.double().std(correction=0))
    assert line.noise_left == pytest.approx(exact, rel=1e-5)
    assert line.calls_per_copy == 0


def test_the_order_of_images_changes_no_mean_and_batches_only_last_bits(
    chain: Run, look_at: Look, sample: Sample
) -> None:
    turned = Sample(sample.keys[::-1], sample.labels[::-1], sample.images[::-1])

    straight = look_at(chain)
    backwards = look_at(chain, turned)
    in_threes = look_at(chain.model_copy(update={"batch": 3}))

    for name in ("noisy_psnr", "purified_psnr", "purified_distance", "square_left"):
        values = getattr(straight, name)
        np.testing.assert_allclose(getattr(backwards, name)[::-1], values, rtol=1e-4)
        np.testing.assert_allclose(getattr(in_threes, name), values, rtol=1e-4)
    for name in ("clean_class", "purified_class"):
        assert (getattr(backwards, name)[::-1] == getattr(straight, name)).all()
        assert (getattr(in_threes, name) == getattr(straight, name)).all()


def test_of_several_samples_the_first_is_shown_and_the_majority_votes(
    chain: Run,
    look_at: Look,
    settings_of: Callable[[Run], WorkerSettings],
) -> None:
    entries = chain.data.source.entries()[:40]
    sample, _ = decoded_sample(chain.data, entries, asked_by="tests")
    worker = settings_of(chain).open()
    add, purify, _, _ = ops_of(chain)
    columns: Any = {
        "image": np.stack(sample.images),
        "image_key": sample.keys,
        "stream": [STREAM] * 40,
        "block": [0] * 40,
    }
    columns = run_op(add.model_copy(update={"block": 1}).open(worker), columns)
    purified = run_op(purify.open(worker), columns)["purified"]
    with torch.inference_mode():
        scores = chain.classifier.open(worker)(purified.flatten(0, 1))
    votes = scores.argmax(dim=1).view(40, 3)
    # Else the majority would be the first sample's class, and show nothing.
    assert (majority(votes) != votes[:, 0]).any()

    looked = look_at(chain, sample)

    np.testing.assert_array_equal(looked.purified_class, majority(votes))
    shown = (purified[:4, 0].clamp(0, 1) * 255).round().to(torch.uint8)
    np.testing.assert_array_equal(looked.purified, shown)
    line = quality("m", chain, looked, sample.labels, distance="d")
    assert (line.samples_per_copy, line.calls_per_copy) == (3, 9)
    assert line.seconds_per_copy > 0


def test_methods_meet_the_same_noise_whatever_their_own_seeds(
    recipe_of: Callable[..., Recipe], small: dict[str, Any], look_at: Look
) -> None:
    other = build_recipe({**small, "purifier": CHAIN, "seed": 5}, "other")
    recipes = [recipe_of("seed=3"), other]

    shown = [look_at(run).noisy for run in methods_at(recipes, 0.25).values()]

    np.testing.assert_array_equal(*shown)
    assert (look_at(other.runs[0]).noisy != shown[0]).any()


def classes(clean: Sequence[int], purified: Sequence[int]) -> dict[str, np.ndarray]:
    return {"clean_class": np.array(clean), "purified_class": np.array(purified)}


def test_shares_count_copies_and_no_class_agrees_with_nothing(
    run_of: Callable[..., Run], look_at: Look, sample: Sample
) -> None:
    looked = replace(
        look_at(run_of()), **classes([0, 1, -1, 3, 3, 3, 4], [0, 0, -1, -1, 3, 4, 4])
    )

    line = quality("m", run_of(), looked, [0, 0, 0, 3, 0, 4, 4], distance="d")

    assert line.same_class == pytest.approx(3 / 7)  # the 1st, 5th and 7th
    assert line.right_class == pytest.approx(4 / 7)  # the 1st, 2nd, 6th and 7th
    assert line.right_clean == pytest.approx(3 / 7)  # the 1st, 4th and 7th


def test_means_are_the_same_to_the_last_bit_in_any_order(
    run_of: Callable[..., Run], look_at: Look, sample: Sample
) -> None:
    run, looked = run_of(), look_at(run_of())
    columns = {
        name: values[::-1]
        for name, values in vars(looked).items()
        if isinstance(values, np.ndarray) and len(values) == 7
    }
    backwards = replace(looked, **columns)

    straight = quality("m", run, looked, sample.labels, distance="d")

    assert straight == quality("m", run, backwards, sample.labels[::-1], distance="d")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((), "features of digits_cnn (untrained, seed 0)"),
        (
            (
                "classifier={kind: ensemble, members: "
                "[{kind: digits_cnn, weights: {untrained: 3}}, "
                "{kind: digits_cnn, weights: {untrained: 4}}]}",
            ),
            "features of the first member digits_cnn (untrained, seed 3)",
        ),
    ],
)
def test_a_distance_says_which_network_measures_it(
    run_of: Callable[..., Run], settings: tuple[str, ...], said: str
) -> None:
    distance: Distance = features_of(run_of(*settings).classifier)

    assert distance.said == said
