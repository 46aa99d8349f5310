"""The part of a recipe that says which images are certified."""

from typing import Any

from pydantic import BaseModel, model_serializer, model_validator

from infra.images import Preprocess, Source
from pipelines.part import Part


class Data(Part):
    """Which images are certified, and what is done to them before the noise."""

    source: Source
    """Where they are; in a recipe its fields stand beside ``subset``."""

    subset: str = "full"
    """``full``, ``first:n`` or ``stride:k``."""

    preprocess: Preprocess = "none"
    """Decode, resize and crop to the certified input; part of the threat model."""

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
