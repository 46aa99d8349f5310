"""Whether the cascade in an OUT is what the votes of its sigmas give."""

from infra.tables import from_bytes
from pipelines.cascade import CASCADE_FILE, cascade_file, is_cascade
from pipelines.check import Check
from pipelines.findings import Findings
from pipelines.recount import Recount

_NAME = "cascade"
_ANEW = "Run diffsmooth report, which writes it anew from the votes."


def look_at_cascade(recount: Recount) -> list[Check]:
    """Compare the cascade with the one the votes give.

    Args:
        recount: of OUT.

    Returns:
        One check; none where there is no cascade and the rule asks for none.
    """
    there = recount.store.exists(CASCADE_FILE)
    if not is_cascade(recount.found):
        told = f"{CASCADE_FILE} is there, but the rule is another"
        return [Check(_NAME, "fail", told, _ANEW)] if there else []
    if not there:
        return [Check(_NAME, "fail", f"there is no {CASCADE_FILE}", _ANEW)]
    data, anew = recount.store.read(CASCADE_FILE), cascade_file(recount.found)
    if data == anew:
        return [Check(_NAME, "pass", "equal to what the votes give, in bytes")]
    return [_differences(data, anew)]


def _differences(data: bytes, anew: bytes) -> Check:
    found = Findings(_NAME, _ANEW)
    stored, facts = from_bytes(data, CASCADE_FILE)
    wanted, wanted_facts = from_bytes(anew, CASCADE_FILE)
    if facts != wanted_facts:
        found.wrong("its facts are not those of the votes")
    old, new = (
        {row["image_key"]: row for row in table.to_pylist()}
        for table in (stored, wanted)
    )
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            found.wrong(f"{key!r} is not what the votes give")
    if found.all_right and not stored.equals(wanted):
        found.wrong("its columns or the order of its rows are others")
    if found.all_right:
        told = "equal to what the votes give, in every value; not in every byte"
        remedy = f"Another version of pyarrow wrote it. {_ANEW}"
        return Check(_NAME, "warn", told, remedy)
    return found.check("")
