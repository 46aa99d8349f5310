"""The part of a recipe that says which images are certified."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, model_serializer, model_validator

from infra.images import Source
from infra.preprocess import require_preprocess
from infra.subsets import require_subset
from pipelines.part import Part


class Data(Part):
    """Which images are certified, and what is done to them before the noise."""

    source: Source
    """Where they are; in a recipe its fields stand beside ``subset``."""

    subset: Annotated[str, AfterValidator(require_subset)] = "full"
    """Which of them, as ``infra.subsets.select`` names them."""

    preprocess: Annotated[str, AfterValidator(require_preprocess)] = "none"
    """Resize and crop to the certified input, as ``infra.preprocess.preprocess_of``
    names them; part of the threat model."""

    @model_validator(mode="before")
    @classmethod
    def _gather_source(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or isinstance(raw.get("source"), BaseModel):
            return raw
        own = {key: raw[key] for key in ("subset", "preprocess") if key in raw}
        source = {key: value for key, value in raw.items() if key not in own}
        return {"source": source, **own}

    @model_serializer(mode="plain")
    def _flatten_source(self) -> dict[str, Any]:
        return {
            **self.source.model_dump(),
            "subset": self.subset,
            "preprocess": self.preprocess,
        }
