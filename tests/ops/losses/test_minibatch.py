import torch

from ops.losses.minibatch import Minibatch


def batch_of(num: int, *, step: int = 0, first: int = 0, seed: int = 0) -> Minibatch:
    image = torch.zeros(num, 1, 4, 4)
    label = torch.zeros(num, dtype=torch.int64)
    return Minibatch(image, label, seed, step, first)


def test_shares_of_two_workers_have_the_noise_of_the_whole_batch() -> None:
    whole = batch_of(6)
    shares = [batch_of(3), batch_of(3, first=3)]

    joined = torch.cat([share.gaussian("noise") for share in shares])
    joined_uniform = torch.cat([share.uniform("timestep") for share in shares])

    assert torch.equal(joined, whole.gaussian("noise"))
    assert torch.equal(joined_uniform, whole.uniform("timestep"))


def test_steps_seeds_and_streams_share_no_noise() -> None:
    noise = batch_of(2).gaussian("noise")

    assert not torch.equal(batch_of(2, step=1).gaussian("noise"), noise)
    assert not torch.equal(batch_of(2, seed=1).gaussian("noise"), noise)
    assert not torch.equal(batch_of(2).gaussian("other"), noise)


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    num = 4000
    uniform = batch_of(num).uniform("timestep").sort().values

    ideal = (torch.arange(num) + 0.5) / num
    # Kolmogorov and Smirnov's distance exceeds 1.95 / sqrt(n) once in 1000 draws.
    assert uniform.min() >= 0.0
    assert uniform.max() <= 1.0
    assert (uniform - ideal).abs().max() < 1.95 / num**0.5
