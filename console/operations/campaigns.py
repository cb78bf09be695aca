"""One incident over several customers: begun, written on, closed, each with its entry in the journal."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from console.operations.actor import actor
from store import campaigns, triage
from store.campaigns import CampaignError, Whole
from store.journal import append
from store.queries.cases import holding
from store.times import now_ms
from store.triage import Selection

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store


def create(
    store: "Store", operator: str, title: str, selection: Selection, *, now: int | None = None
) -> Whole:
    """Begin a campaign with the alerts of several customers, such as those of a storm.

    Raises:
        CampaignError: it cannot be; the text says why. So for all of these.
    """
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        ids = triage.resolve(connection, selection).ids
        number = campaigns.create(connection, title, ids, by=operator, now=moment)
        whole = _whole(campaigns.campaign(connection, number))
        append(
            connection, actor(), "campaign.create", "", title.strip(),
            {
                "operator": operator, "campaign": number, "alerts": whole.campaign.alerts,
                "organizations": [member.oid for member in whole.members],
            },
            now=moment,
        )  # fmt: skip
    return whole


def add(store: "Store", operator: str, campaign_id: int, alerts: Iterable[int]) -> int:
    """Put further alerts into it; how many are new."""
    with store.writing() as connection:
        count = campaigns.add(connection, campaign_id, alerts)
        append(
            connection, actor(), "campaign.add", "", f"campaign {campaign_id}",
            {"operator": operator, "alerts": count},
        )  # fmt: skip
    return count


async def note(
    store: "Store",
    operator: str,
    campaign_id: int,
    text: str,
    *,
    oid: str = "",
    into_case: bool = False,
    public: bool = False,
    cloud: "Cloud | None" = None,
    now: int | None = None,
) -> tuple[Whole, str]:
    """Write something down: for us, or for one customer, whom it may name and no other.

    Args:
        oid: whom it is for; "" is for us.
        into_case: also as a note of the customer's cases that hold alerts of it.
        public: there the customer may see it.

    Returns:
        The campaign, and what became of the notes in cases, in words.
    """
    moment = now_ms() if now is None else now
    if into_case and not oid:
        raise CampaignError("What is for us goes into no customer's case.")

    def write() -> tuple[Whole, list[int]]:
        with store.writing() as connection:
            number = campaigns.note(connection, campaign_id, text, oid=oid, by=operator, now=moment)
            append(
                connection, actor(), "campaign.note", oid, f"campaign {campaign_id}",
                {"operator": operator, "note": number, "characters": len(text.strip())}, now=moment,
            )  # fmt: skip
            held = holding(connection, oid, campaigns.detect_ids(connection, campaign_id, oid)) if oid else {}
            numbers = sorted({each for some in held.values() for each in some})
            return _whole(campaigns.campaign(connection, campaign_id)), numbers

    whole, numbers = await asyncio.to_thread(write)
    if not into_case:
        return whole, ""
    if not numbers:
        return whole, "No case of this customer holds an alert of it; the text is kept here."
    from console.operations.cases import CaseDesk

    desk = CaseDesk(store, cloud, operator=operator)
    done = waits = 0
    failed: list[str] = []
    for each in numbers:
        outcome = await desk.note((oid, each), text.strip(), note_type="to_stakeholder", public=public)
        done += outcome.done
        waits += outcome.waiting
        failed += [failure.reason for failure in outcome.failures]
    said = f"{done:,} of {len(numbers):,} cases have it"
    if waits:
        said += f", {waits:,} wait for the cloud"
    if failed:
        said += f", {len(failed):,} refused it: {failed[0]}"
    return whole, said + "."


def close(
    store: "Store", operator: str, campaign_id: int, conclusion: str = "", *, now: int | None = None
) -> Whole:
    """End a campaign; its alerts stay as they are."""
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        campaigns.close(connection, campaign_id, conclusion, by=operator, now=moment)
        append(
            connection, actor(), "campaign.close", "", f"campaign {campaign_id}",
            {"operator": operator, "conclusion": conclusion.strip()}, now=moment,
        )  # fmt: skip
        return _whole(campaigns.campaign(connection, campaign_id))


def _whole(found: Whole | None) -> Whole:
    if found is None:
        raise CampaignError("This campaign is no longer there.")
    return found
