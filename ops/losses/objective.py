"""The closed union of what a network can be trained for.

An objective is a frozen description with ``loss(network, batch)``: the network under
training, a worker's :class:`~ops.losses.minibatch.Minibatch`, and a scalar to descend.
"""

from typing import Annotated

from pydantic import Field

from ops.losses.ddpm import DdpmObjective
from ops.losses.gaussian import GaussianObjective

Objective = Annotated[DdpmObjective | GaussianObjective, Field(discriminator="kind")]
