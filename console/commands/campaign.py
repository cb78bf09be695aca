"""`limegrove case campaign`: one incident over several customers."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe

if TYPE_CHECKING:
    from store.campaigns import Campaign, Whole


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `case campaign`."""
    verbs = parser.add_subparsers(dest="step", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="campaigns that go on, the newest first")
    listing.add_argument("--all", action="store_true", help="closed ones too")
    one = verbs.add_parser("show", help="one campaign: its customers and what was written down")
    one.add_argument("campaign", metavar="ID", type=int)
    new = verbs.add_parser("create", help="begin one with alerts of several customers")
    new.add_argument("title", metavar="TITLE", help="for us: no customer sees it")
    new.add_argument("--alert", metavar="DETECT_ID", action="append", default=[], help="may be given again")
    new.add_argument("--filter", metavar="LINE", help="every alert that matches, as after / on screen")
    new.add_argument("--storm", metavar="KEY", type=int, help="every open alert of this storm")
    note = verbs.add_parser("note", help="write something down, for us or for one customer")
    note.add_argument("campaign", metavar="ID", type=int)
    note.add_argument("--text", metavar="TEXT", required=True)
    note.add_argument("--for", dest="customer", metavar="OID|NAME", help="the customer; for us unless given")
    note.add_argument("--case", action="store_true", help="also as a note of the customer's cases with it")
    note.add_argument("--public", action="store_true", help="there the customer may see it")
    end = verbs.add_parser("close", help="end a campaign; its alerts stay as they are")
    end.add_argument("campaign", metavar="ID", type=int)
    end.add_argument("--conclusion", metavar="TEXT", default="", help="what it came to, for us")


def run(session: Session) -> int:
    """List, show, begin, write on or close."""
    step: str = session.arguments.step
    if step == "list":
        return _list(session)
    if step == "show":
        return _show(session)
    session.refuse_read_only(f"case campaign {step}")
    from store.campaigns import CampaignError
    from store.errors import Mistaken

    try:
        return {"create": _create, "note": _note, "close": _close}[step](session)
    except CampaignError as error:
        raise Problem(str(error), code=2 if isinstance(error, Mistaken) else 5) from error


def listed(found: "Campaign") -> dict[str, Any]:
    """A campaign as `list` prints it; times RFC 3339 in UTC."""
    from store.times import rfc3339

    return {
        "id": found.id,
        "title": found.title,
        "by": found.by,
        "begun": rfc3339(found.made_at),
        "organizations": found.organizations,
        "alerts": found.alerts,
        "open": found.open,
        "closed": rfc3339(found.closed_at),
        "closed_by": found.closed_by,
        "conclusion": found.conclusion,
    }


def whole(found: "Whole") -> dict[str, Any]:
    """A campaign as `show` prints it."""
    from store.alerts import SEVERITIES
    from store.times import rfc3339

    return {
        **listed(found.campaign),
        "members": [
            {
                "oid": member.oid,
                "organization": member.organization,
                "alerts": member.alerts,
                "open": member.open,
                "severity": SEVERITIES[member.severity],
                "first": rfc3339(member.first),
                "last": rfc3339(member.last),
            }
            for member in found.members
        ],
        "notes": [
            {
                "for": note.oid or None,
                "organization": note.organization,
                "at": rfc3339(note.at),
                "by": note.by,
                "text": note.text,
            }
            for note in found.notes
        ],
    }


def _list(session: Session) -> int:
    from store.campaigns import campaigns

    with session.reader.reading() as connection:
        rows = campaigns(connection, closed=session.arguments.all)
    session.show_rows(
        [listed(row) for row in rows],
        columns=("id", "title", "organizations", "alerts", "open", "by", "begun"),
        footer=f"{len(rows)} campaigns",
    )
    return 0


def _show(session: Session) -> int:
    from store.campaigns import campaign

    with session.reader.reading() as connection:
        found = campaign(connection, session.arguments.campaign)
    if found is None:
        raise Problem(
            f"There is no campaign {session.arguments.campaign}; `limegrove case campaign list` names them.",
            code=2,
        )
    session.show_object(whole(found))
    return 0


def _create(session: Session) -> int:
    from console.commands.alert_folds import refuse_unknown
    from console.operations import campaigns
    from store.alerts import AlertFilter, FilterError, parse_filter
    from store.queries.alerts import by_detect_id
    from store.triage import Selection

    given = session.arguments
    ways = [bool(given.alert), given.filter is not None, given.storm is not None]
    if sum(ways) != 1:
        raise Problem("Which alerts? Give --alert, --filter or --storm.", code=2)
    if given.alert:
        ids: list[int] = []
        with session.reader.reading() as connection:
            for wanted in given.alert:
                found = by_detect_id(connection, wanted)
                if not found:
                    raise Problem(f"There is no alert `{safe(wanted)}` in the store.", code=2)
                ids += [each.row.id for each in found]
        selection = Selection(ids=tuple(ids))
    elif given.storm is not None:
        refuse_unknown(session, storm=given.storm)
        selection = Selection(wanted=AlertFilter(scope=session.scope(), storm=given.storm))
    else:
        try:
            selection = Selection(
                wanted=parse_filter(given.filter, scope=session.scope(), me=session.operator)
            )
        except FilterError as error:
            raise Problem(f"--filter: {error}", code=2) from error
    made = campaigns.create(session.store(), session.operator, given.title, selection)
    session.show_object(whole(made))
    return 0


def _note(session: Session) -> int:
    from console.operations import campaigns

    given = session.arguments
    oid = session.organization(given.customer) if given.customer else ""

    async def go() -> Any:
        wanted = {"oid": oid, "into_case": given.case, "public": given.public}
        if session.settings.offline or not given.case:
            return await campaigns.note(
                session.store(), session.operator, given.campaign, given.text, **wanted
            )
        async with session.cloud() as cloud:
            return await campaigns.note(
                session.store(), session.operator, given.campaign, given.text, cloud=cloud, **wanted
            )

    found, said = session.run(go())
    session.show_object(whole(found))
    if said:
        session.say(said)
    return 0


def _close(session: Session) -> int:
    from console.operations import campaigns

    given = session.arguments
    session.show_object(
        whole(campaigns.close(session.store(), session.operator, given.campaign, given.conclusion))
    )
    return 0
