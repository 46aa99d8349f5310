import pytest
import torch

from ops.columns import Worker, in_batches
from ops.weights import WeightsRef


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 10, 64])
@pytest.mark.parametrize("num_copies", [1, 7, 10, 20])
def test_batches_of_any_size_give_what_one_call_gives(
    batch: int, num_copies: int
) -> None:
    copies = torch.arange(num_copies * 6.0).view(num_copies, 2, 3)
    shapes = []

    def square(part: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(part.shape))
        return part.square().flatten(1) + 1

    results = in_batches(square, copies, batch)

    assert torch.equal(results, copies.square().flatten(1) + 1)
    assert shapes == [(batch, 2, 3)] * -(-num_copies // batch)


def test_last_batch_is_filled_with_zeros() -> None:
    seen = []
    in_batches(lambda part: seen.append(part) or part, torch.ones(5, 2), 4)
    assert torch.equal(seen[1], torch.tensor([[1.0, 1], [0, 0], [0, 0], [0, 0]]))


def test_worker_without_a_loader_says_what_it_could_not_read() -> None:
    with pytest.raises(ValueError, match=r"needs a loader.*a\.pt"):
        Worker(torch.device("cpu")).weights(WeightsRef(path="a.pt"))
