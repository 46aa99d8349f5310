"""The closed union of what a network can be trained for.

An objective is a frozen description whose ``open(worker)`` loads what it needs beside
the network (a frozen purifier or classifier) and returns the loss: a function of the
network under training, a :class:`~ops.losses.learner.Learner`, and of a worker's
:class:`~ops.losses.minibatch.Minibatch`, whose result is a scalar to descend.
"""

from typing import Annotated

from pydantic import Field

from ops.losses.calibration import CalibrationObjective
from ops.losses.consistency import ConsistencyObjective
from ops.losses.consistency_distillation import ConsistencyDistillation
from ops.losses.consistency_finetuning import ConsistencyFinetuning
from ops.losses.consistency_training import ConsistencyTraining
from ops.losses.ddpm import DdpmObjective
from ops.losses.denoised import DenoisedObjective
from ops.losses.dncnn_clf import DenoiseClf
from ops.losses.dncnn_mse import DenoiseMse
from ops.losses.dncnn_stab import DenoiseStab
from ops.losses.edm import EdmObjective
from ops.losses.gaussian import GaussianObjective
from ops.losses.macer import MacerObjective
from ops.losses.smoothadv import SmoothAdvObjective
from ops.losses.smoothmix import SmoothMixObjective

Objective = Annotated[
    GaussianObjective
    | SmoothAdvObjective
    | MacerObjective
    | ConsistencyObjective
    | SmoothMixObjective
    | DenoisedObjective
    | DdpmObjective
    | EdmObjective
    | ConsistencyDistillation
    | ConsistencyTraining
    | ConsistencyFinetuning
    | CalibrationObjective
    | DenoiseMse
    | DenoiseStab
    | DenoiseClf,
    Field(discriminator="kind"),
]
