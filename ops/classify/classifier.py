"""Every classifier a recipe can name."""

from typing import Annotated

from pydantic import Field

from ops.classify.cifar_resnet import CifarResnet
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.timm import Timm

Classifier = Annotated[Timm | CifarResnet | DigitsCnn, Field(discriminator="kind")]
"""Images in, logits out; chosen by ``kind``."""
