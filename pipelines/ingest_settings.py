"""What was said of a data set that is to be written down."""

from collections.abc import Sequence

from pydantic import ValidationError

from infra.object_store import open_store
from infra.sources.files import with_absolute_places
from infra.sources.layout import LAYOUTS, Layout
from pipelines.recipe_file import Raw, apply_setting


def subset_of(settings: Sequence[str]) -> tuple[str, list[str]]:
    """Return which images are meant, and the settings of the layout.

    Args:
        settings: ``field=value`` each.
    """
    subset, others = "full", []
    for setting in settings:
        field, _, value = setting.partition("=")
        if field.strip() == "subset":
            subset = value.strip()
        else:
            others.append(setting)
    return subset, others


def require_there(source: str) -> None:
    """Refuse a path at which there is nothing; patterns are left to the layout.

    Args:
        source: folder, file or pattern; in a bucket it is left to the layout, too.

    Raises:
        ValueError: there is nothing.
    """
    folder = open_store(source).local_path
    if folder is not None and not set("*{") & set(source) and not folder.exists():
        raise ValueError(
            f"ingest needs a folder or file; there is nothing at {source}. Check "
            f"SOURCE."
        )


def described(source: str, layout: str, settings: Sequence[str]) -> Layout:
    """Return a layout's description that means the same from anywhere.

    Args:
        source: folder, file or pattern; local or ``s3://``.
        layout: one of the names in ``LAYOUTS``.
        settings: ``field=value`` each, of the layout's description.

    Raises:
        ValueError: there is no such layout, or a setting does not fit it.
    """
    if layout not in LAYOUTS:
        raise ValueError(
            f"ingest needs a layout it knows; --layout has {layout!r}. "
            f"Known: {', '.join(LAYOUTS)}."
        )
    raw: Raw = {"source": layout, "path": source}
    for setting in settings:
        apply_setting(raw, setting)
    if (raw["source"], raw["path"]) != (layout, source):
        raise ValueError(
            f"ingest needs the source and the layout once; --set gives "
            f"{raw['path']} as {raw['source']} besides. Leave it out."
        )
    try:
        return with_absolute_places(LAYOUTS[layout].model_validate(raw))
    except ValidationError as error:
        known = [f for f in LAYOUTS[layout].model_fields if f not in ("source", "path")]
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}"
            for problem in error.errors()
        )
        raise ValueError(
            f"Layout {layout} needs its fields to fit; it has {problems}. "
            f"Set with --set: {', '.join([*known, 'subset'])}."
        ) from error
