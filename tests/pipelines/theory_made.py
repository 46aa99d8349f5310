"""Purifiers of untrained diffusion models, and images for theorems to look at."""

from infra.subsets import select
from pipelines.recipe import Run
from pipelines.sample import Sample, decoded_sample

UNET = (
    "{sample_size: 8, in_channels: 1, out_channels: 1, block_out_channels: [8, 8], "
    "down_block_types: [DownBlock2D, DownBlock2D], layers_per_block: 1, "
    "up_block_types: [UpBlock2D, UpBlock2D], norm_num_groups: 4}"
)
DDPM = (
    f"purifier={{kind: one_shot_ddpm, weights: {{untrained: 0}}, unet: {UNET}, "
    "schedule: {kind: cosine, num_timesteps: 1000}, prediction: epsilon}"
)
EDM = (
    f"purifier={{kind: edm, weights: {{untrained: 0}}, unet: {UNET}, "
    "scheduler: {beta_schedule: squaredcos_cap_v2, num_train_timesteps: 1000, "
    "prediction_type: sample}}"
)


def sample_of(run: Run) -> Sample:
    entries = select(run.data.source.entries(), run.data.subset)
    return decoded_sample(run.data, entries, asked_by="theory")[0]
