import numpy as np
import pytest
import torch
from scipy.special import ndtri
from trainings_made import training_of

from ops.columns import Worker
from ops.losses.minibatch import Minibatch
from ops.purify.purifying import Draw
from pipelines import train_probe
from pipelines.train_probe import measured, votes_of

PROBE = {"data": {"source": "digits", "split": "tune"}}
CPU = torch.device("cpu")
SIGMA = 0.5


def batch(label: torch.Tensor) -> Minibatch:
    return Minibatch(torch.zeros(len(label), 1, 8, 8), label, seed=0, step=0)


def test_a_network_of_one_opinion_is_certified_to_the_cap_where_it_is_right() -> None:
    recipe = training_of(
        probe=PROBE, objective={"kind": "gaussian", "sigma_train": SIGMA}
    )
    network = recipe.network.network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        list(network.parameters())[-1][3] = 1.0  # the bias of class 3
    label = torch.tensor([3, 3, 1, 3])

    found = measured(recipe, network, batch(label), recipe.objective.open(Worker(CPU)))

    cap = SIGMA * ndtri(0.01 ** (1 / 50))
    assert found == pytest.approx(
        {
            "probe.accuracy_under_noise": 0.75,
            "probe.certified_accuracy_0": 0.75,
            "probe.certified_accuracy_0.25": 0.75,
            "probe.certified_accuracy_0.5": 0.75,
            "probe.average_certified_radius": 0.75 * cap,
        }
    )


def test_votes_follow_the_normal_law_and_do_not_depend_on_company() -> None:
    def is_bright(image: torch.Tensor) -> torch.Tensor:
        first = image[:, 0, 0, 0]
        return torch.stack([-first, first], dim=1)

    image = torch.full((3, 1, 2, 2), 0.25)
    whole = Minibatch(image, torch.zeros(3, dtype=torch.int64), seed=0, step=0)

    votes = votes_of(is_bright, whole, 4000, SIGMA)

    # A copy is bright if 0.25 + 0.5 z > 0: with the chance of z < 0.5.
    share, expected = votes[0].mean(), 0.6914625
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)
    alone = Minibatch(image[:1], torch.zeros(1, dtype=torch.int64), seed=0, step=0)
    assert np.array_equal(votes_of(is_bright, alone, 4000, SIGMA)[0], votes[0])


@pytest.mark.parametrize("images_at_once", [2, 6, 100])
def test_a_purifiers_noise_is_of_the_copy_whatever_call_it_comes_in(
    monkeypatch: pytest.MonkeyPatch, images_at_once: int
) -> None:
    monkeypatch.setattr(train_probe, "_PIXELS_AT_ONCE", images_at_once * 64)
    recipe = training_of(
        probe={**PROBE, "num_select": 4, "num_estimate": 6},
        objective={"kind": "gaussian", "sigma_train": SIGMA},
    )
    drawn: list[torch.Tensor] = []

    def purify(noisy: torch.Tensor, draw: Draw) -> torch.Tensor:
        drawn.append(draw("step"))
        return noisy

    network, loss = recipe.network.network(), recipe.objective.open(Worker(CPU))
    label = torch.zeros(2, dtype=torch.int64)
    for _ in range(2):
        measured(recipe, network, batch(label), loss, purify)

    first, again = torch.cat(drawn).split(20)
    assert len(first.flatten(1).unique(dim=0)) == 20
    assert torch.equal(first, again)
