"""Every classifier a recipe can name."""

from typing import Annotated

from pydantic import Field

from ops.classify.ensemble import Ensemble, Member

Classifier = Annotated[Member | Ensemble, Field(discriminator="kind")]
"""Images in, class scores out; chosen by ``kind``."""
