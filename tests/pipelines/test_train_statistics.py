"""Batch statistics of two workers, in two processes without Ray."""

import subprocess
import sys
from pathlib import Path

WORKER = """
import sys
import torch
from torch import distributed, nn
from pipelines.train_step import share_statistics

rank, place = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group(
    "gloo", init_method=f"file://{place}", rank=rank, world_size=2
)
norms = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(2))
with torch.no_grad():
    for index, buffer in enumerate(norms.buffers()):
        buffer.fill_(10 * index + 2 * rank)
share_statistics(norms)
print([one.double().mean().item() for one in norms.buffers()])
distributed.destroy_process_group()
"""


def test_workers_go_on_with_the_mean_of_their_statistics(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path / "meet")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    told = [worker.communicate(timeout=60)[0] for worker in workers]

    # Means and variances are shared; counters are each worker's own, and equal.
    assert told[0] == "[1.0, 11.0, 20.0, 31.0, 41.0, 50.0]\n"
    assert told[1] == "[1.0, 11.0, 22.0, 31.0, 41.0, 52.0]\n"
