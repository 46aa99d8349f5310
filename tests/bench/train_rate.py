"""Training under Ray Train against a bare loop of the same step in one process.

Run: ``python tests/bench/train_rate.py [--rounds N] [--write]``. The bare loop has all
images in memory, changes none of them, keeps no curve and saves nothing; both compute
the same steps with one thread. Rates are medians of the rounds and ratios are of one
round; the time to start is in neither.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from made import file_name, heading

from infra import cluster
from infra.tracking_client import connect
from ops.columns import Worker
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from pipelines.train import ensure_trained
from pipelines.train_order import Order
from pipelines.train_read import read_all
from pipelines.train_recipe import TrainRecipe, load_train_recipe
from pipelines.train_state import open_training
from pipelines.train_step import Step
from pipelines.train_track import EXPERIMENT

logger = logging.getLogger(__name__)

NO_PROBE = "probe=null"

CASES = {
    "digits CNN, Gaussian, 2,000 steps": (
        "train_digits_gaussian",
        ["optimiser.steps=2000", NO_PROBE],
    ),
    "digits CNN, Gaussian, 6,000 steps": (
        "train_digits_gaussian",
        ["optimiser.steps=6000", NO_PROBE],
    ),
    "digits CNN, SmoothAdv": (
        "train_digits_smoothadv",
        ["optimiser.steps=400", NO_PROBE],
    ),
    "digits U-Net, DDPM": ("train_digits_ddpm", ["optimiser.steps=400", NO_PROBE]),
    "ResNet-20 on CIFAR-10, Gaussian": (
        "train_cifar10_small_gaussian",
        ["optimiser.steps=60", "optimiser.warmup=9", "workers.cpus=1", NO_PROBE],
    ),
}
"""Recipe and settings by what is trained; none is probed on the way."""


def bare_rate(recipe: TrainRecipe) -> float:
    """Return the images per second of a plain loop over images in memory."""
    torch.set_num_threads(recipe.workers.cpus)
    image, label = map(torch.from_numpy, read_all(recipe.data))
    device = torch.device("cpu")
    training = open_training(recipe, device)
    predict = recipe.network.predict(training.network, device)
    learner = Learner(predict, training.network, predict)
    loss = recipe.objective.open(Worker(device))
    step = Step(recipe, loss, learner, training.network, keys=lambda _: [])
    batch = recipe.optimiser.batch
    began = time.monotonic()
    order = Order(recipe.seed, (len(image), 0), None)
    for index in range(recipe.optimiser.steps):
        places = np.arange(index * batch, (index + 1) * batch)
        own = torch.from_numpy(order.positions(places))
        step(training, Minibatch(image[own], label[own], recipe.seed, index))
    return recipe.optimiser.steps * batch / (time.monotonic() - began)


def ray_rate(name: str, settings: list[str]) -> float:
    """Return the images per second that a training under Ray Train told MLflow."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["DIFFSMOOTH_CACHE"] = cache
        ensure_trained(name, settings)
        client = connect(f"sqlite:///{cache}/mlflow.db")
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        (rate,) = [
            run.data.metrics["images_per_second"]
            for run in runs
            if run.info.run_name == " ".join([name, *settings])
        ]
    return rate


def line_of(title: str, num_rounds: int) -> str:
    """Measure one case in pairs, and return its line of the table."""
    name, settings = CASES[title]
    recipe = load_train_recipe(name, settings)
    rounds = [(bare_rate(recipe), ray_rate(name, settings)) for _ in range(num_rounds)]
    for bare, with_ray in rounds:
        logger.info("%s: bare %.0f, Ray Train %.0f images/s", title, bare, with_ray)
    bare, with_ray = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    ratios = sorted(with_ray / bare for bare, with_ray in rounds)
    return (
        f"| {title} | {bare:,.0f} | {with_ray:,.0f} | {statistics.median(ratios):.2f} "
        f"| {ratios[0]:.2f} to {ratios[-1]:.2f} |"
    )


def main() -> None:
    """Measure every case and print or write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    needed = "DIFFSMOOTH_DATA" in os.environ
    cases = [title for title in CASES if needed or "CIFAR" not in title]
    cluster.start(None)
    try:
        lines = [line_of(title, arguments.rounds) for title in cases]
    finally:
        cluster.stop()
    facts = {"rounds": str(arguments.rounds), "threads of the network": "1"}
    text = "\n".join(
        [
            heading("# Training under Ray Train against a bare loop", facts),
            "| trained | bare loop, images/s | Ray Train, images/s | ratio | rounds |",
            "|---|---:|---:|---:|---|",
            *lines,
            "",
        ]
    )
    if arguments.write:
        Path(__file__).with_name(file_name("train_rate")).write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
