"""Faults of single images: one kills its worker every time, one never ends."""

from dataclasses import replace

from ground import Case, Ground, keys
from journal import lines
from outcomes import Outcome, certificates

ATTEMPTS = 3
"""``stages.attempts`` as it is where nobody sets it."""

UNITS_PER_IMAGE = 5

NO_PROGRESS_SECONDS = 20


def poisoned(ground: Ground, plan: str) -> Outcome:
    """One image kills who makes its noise, another who decodes it, every time.

    Both are set aside; what is compared is the certificates of all others.
    """
    deadly, undecodable = keys(ground)[1], keys(ground)[4]
    case = ground.case(
        "poisoned",
        plan,
        block_seconds=0.0,
        deadly_noise=(deadly,),
        deadly_decode=(undecodable,),
    )
    with case.driver() as driver:
        status, left = case.ended(driver)
        if not case.certified:
            raise AssertionError(f"certificates are promised; {driver.told()}")
    _require_set_aside(case, {deadly, undecodable})
    _require_few_deaths(case, {"block": deadly, "decode": undecodable})
    begun = [
        line.moment for line in lines(case.journal, "block") if deadly in line.about
    ]
    found = case.outcome(
        "poisoned images",
        f"SIGKILL at every noise of {deadly}, at every decode of {undecodable}",
        seconds_to_continue=case.seconds_to_continue(min(begun)),
        status=status,
        left=left,
    )
    same = _others(case.certified, {deadly, undecodable}) == _others(
        ground.undisturbed, {deadly, undecodable}
    )
    return replace(found, same_bytes=same)


def _require_set_aside(case: Case, names: set[str]) -> None:
    rows = {row["image_key"]: row for row in certificates(case.certified)}
    for name in names:
        row = rows[name]
        if row["radius"] or not row["abstained"] or name not in row["reason"]:
            raise AssertionError(f"a row that is set aside was promised; it is {row}")


def _require_few_deaths(case: Case, deadly: dict[str, str]) -> None:
    """Each unit of the image may kill once among others, and the image thrice alone."""
    for what, key in deadly.items():
        died = {line.pid for line in lines(case.journal, what) if key in line.about}
        if not ATTEMPTS <= len(died) <= ATTEMPTS + UNITS_PER_IMAGE:
            raise AssertionError(f"{len(died)} workers died of {key} in {what}")


def _others(content: bytes, names: set[str]) -> list[dict]:
    return [row for row in certificates(content) if row["image_key"] not in names]


def hanging(ground: Ground, plan: str) -> Outcome:
    """The noise of one image takes for ever: status 1, who and where; then again."""
    image = keys(ground)[2]
    settings = (f"ray.no_progress_seconds={NO_PROGRESS_SECONDS}",)
    case = replace(ground.case("hanging", plan, hanging=(image,)), settings=settings)
    with case.driver() as driver:
        stuck = case.next_line("block", lambda line: image in line.about)
        driver.require_refusal(image, stuck.node[:8])
    healthy = replace(case, injection=replace(case.injection, hanging=()))
    return healthy.run_again(
        "hang", f"noise of {image} takes for ever; then not any more"
    )
