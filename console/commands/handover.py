"""`limegrove case handover`: what one shift gives to the next, item by item."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from store.handover import Handover, Item


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `case handover`."""
    verbs = parser.add_subparsers(dest="step", metavar="VERB", required=True)
    made = verbs.add_parser("draft", help="make your draft anew from what you hold, and write its texts")
    made.add_argument("--since", metavar="DURATION", default="12h", help="how long the shift was (12h)")
    made.add_argument("--item", type=int, metavar="ID", help="write the texts of this item instead")
    made.add_argument("--hypothesis", metavar="TEXT", help="what you take it for")
    made.add_argument("--next", dest="next_step", metavar="TEXT", help="what should be done next")
    made.add_argument("--blocker", metavar="TEXT", help="what is in the way")
    made.add_argument("--note", metavar="TEXT", help="what holds for all of it")
    show = verbs.add_parser("show", help="your draft, what was handed over to you, or one by its number")
    show.add_argument("handover", metavar="ID", type=int, nargs="?")
    offer = verbs.add_parser("publish", help="offer your draft to whoever comes next; its texts then stand")
    offer.add_argument("handover", metavar="ID", type=int, nargs="?", help="your draft unless given")
    back = verbs.add_parser("withdraw", help="take back what you handed over")
    back.add_argument("handover", metavar="ID", type=int)
    take = verbs.add_parser("accept", help="take an item: what belongs to it is yours")
    take.add_argument("items", metavar="ITEM", type=int, nargs="+")
    bounced = verbs.add_parser("bounce", help="give an item back, with a reason")
    bounced.add_argument("item", metavar="ITEM", type=int)
    bounced.add_argument("--reason", metavar="TEXT", required=True, help="why")


def run(session: Session) -> int:
    """Draft, show, publish, withdraw, accept or bounce."""
    step: str = session.arguments.step
    if step == "show":
        return _show(session)
    session.refuse_read_only(f"case handover {step}")
    return {
        "draft": _draft, "publish": _publish, "withdraw": _withdraw, "accept": _accept, "bounce": _bounce,
    }[step](session)  # fmt: skip


def listed(found: "Handover") -> dict[str, Any]:
    """A hand-over as `show` prints it; times RFC 3339 in UTC."""
    from store.times import rfc3339

    return {
        "id": found.id,
        "by": found.by,
        "state": found.state_word,
        "since": rfc3339(found.since),
        "published": rfc3339(found.published_at),
        "finished": rfc3339(found.finished_at),
        "note": found.note,
        "left": found.left,
        "items": [listed_item(item) for item in found.items],
    }


def listed_item(item: "Item") -> dict[str, Any]:
    """One item as `show` prints it; `sla_left` is in seconds, negative when it is over."""
    from store.alerts import SEVERITIES
    from store.times import now_ms, rfc3339

    return {
        "item": item.id,
        "state": item.state_word,
        "oid": item.oid,
        "organization": item.organization,
        "title": item.title,
        "host": item.host,
        "severity": SEVERITIES[item.severity],
        "alerts": len(item.alerts),
        "case": item.case_number,
        "sla_left": None if item.due_at is None else (item.due_at - now_ms()) // 1000,
        "hypothesis": item.hypothesis,
        "done": [{"at": rfc3339(step.at), "who": step.who, "what": step.what} for step in item.done],
        "next": item.next_step,
        "blocker": item.blocker,
        "decided_by": item.decided_by,
        "decided": rfc3339(item.decided_at),
        "reason": item.reason,
    }


COLUMNS = ("item", "state", "severity", "sla_left", "organization", "title", "alerts", "hypothesis", "next")


def _print(session: Session, found: "Handover") -> None:
    from console.commands.org_document import standing_of
    from store.queries.customers import card
    from store.times import now_ms

    whole = listed(found)
    now = now_ms()
    with session.reader.reading() as connection:
        known = {oid: standing_of(card(connection, oid, now)) for oid in {item.oid for item in found.items}}
    for item in whole["items"]:
        item["customer"] = known[item["oid"]]
    session.show_object(whole, rows=whole["items"], columns=COLUMNS)
    if session.output == "table":
        session.say(f"Hand-over {found.id} by {found.by}: {found.state_word}, {found.left} items open.")


def _draft(session: Session) -> int:
    from console.operations import handover
    from store.times import now_ms, parse_duration

    given, name = session.arguments, session.operator
    texts = {each: getattr(given, each) for each in ("hypothesis", "next_step", "blocker")}
    texts = {each: text for each, text in texts.items() if text is not None}
    if texts and given.item is None:
        raise Problem("Of which item? --item says it; `limegrove case handover show` lists them.", code=2)
    if given.item is not None:
        if not texts:
            raise Problem("Write something: --hypothesis, --next or --blocker.", code=2)
        item = _possible(lambda: handover.edit(session.store(), name, given.item, texts))
        session.show_object(listed_item(item))
        return 0
    try:
        seconds = parse_duration(given.since)
    except ValueError as error:
        raise Problem(f"--since {shown(given.since)}: {error}", code=2) from error
    made = handover.draft(session.store(), name, scope=session.scope(), since=now_ms() - seconds * 1000)
    if given.note is not None:
        _possible(lambda: handover.annotate(session.store(), name, made.id, given.note))
    _print(session, _found(session, made.id))
    return 0


def _found(session: Session, number: int) -> "Handover":
    from store.handover import handover

    with session.reader.reading() as connection:
        found = handover(connection, number)
    if found is None:
        raise Problem(f"There is no hand-over {number}; `limegrove case handover show` lists them.", code=2)
    return found


def _show(session: Session) -> int:
    from store.handover import draft_of, offered

    if session.arguments.handover is not None:
        _print(session, _found(session, session.arguments.handover))
        return 0
    name = session.operator
    with session.reader.reading() as connection:
        mine = draft_of(connection, name)
        others = offered(connection, name, scope=session.scope())
    every = [*([mine] if mine is not None else []), *others]
    rows = [
        {"handover": each.id, "by": each.by, **listed_item(item)} for each in every for item in each.items
    ]
    if session.output in ("table", "csv", "jsonl"):
        session.show_rows(rows, columns=("handover", "by", *COLUMNS))
    else:
        session.show_object(
            {"draft": listed(mine) if mine else None, "offered": [listed(each) for each in others]}
        )
    if session.output == "table":
        open_items = sum(each.left for each in others)
        session.say(f"{open_items} items are handed over to whoever comes next, in {len(others)} hand-overs.")
    return 0


def _publish(session: Session) -> int:
    from console.operations import handover
    from store.handover import draft_of

    name, number = session.operator, session.arguments.handover
    if number is None:
        with session.reader.reading() as connection:
            mine = draft_of(connection, name)
        if mine is None:
            raise Problem("You have no draft; `limegrove case handover draft` makes one.", code=2)
        number = mine.id

    async def go() -> Any:
        async with _cloud(session, [number], whole=True) as cloud:
            return await handover.publish(session.store(), name, number, cloud=cloud)

    made, said = _run(session, go())
    _print(session, made)
    if said:
        session.say(said)
    return 0


def _withdraw(session: Session) -> int:
    from console.operations import handover

    number = session.arguments.handover
    _possible(lambda: handover.withdraw(session.store(), session.operator, number))
    _print(session, _found(session, number))
    return 0


def _accept(session: Session) -> int:
    from console.operations import handover
    from store.handover import HandoverError, item

    with session.reader.reading() as connection:
        missing = [str(each) for each in session.arguments.items if item(connection, each) is None]
    if missing:
        raise Problem(f"There is no item {', '.join(missing)}. Nothing was accepted.", code=2)
    name, refused = session.operator, 0
    rows: list[dict[str, Any]] = []

    async def go() -> None:
        nonlocal refused
        async with _cloud(session, session.arguments.items) as cloud:
            for number in session.arguments.items:
                try:
                    done = await handover.accept(session.store(), name, number, cloud=cloud)
                except HandoverError as error:
                    refused += 1
                    rows.append(
                        {"item": number, "state": "refused", "alerts": 0, "moved_on": 0, "why": str(error)}
                    )
                else:
                    rows.append(
                        {
                            "item": number, "state": "accepted", "alerts": done.alerts,
                            "moved_on": done.moved_on, "why": done.case,
                        }
                    )  # fmt: skip

    session.run(go())
    session.show_rows(rows)
    for row in rows:
        if row["state"] == "refused":
            session.say(f"Item {row['item']}: {row['why']}")
    return 0 if not refused else 3 if refused < len(rows) else 5


def _bounce(session: Session) -> int:
    from console.operations import handover

    given = session.arguments
    item = _possible(lambda: handover.bounce(session.store(), session.operator, given.item, given.reason))
    session.show_object(listed_item(item))
    return 0


def _cloud(session: Session, numbers: "Sequence[int]", *, whole: bool = False) -> Any:
    """The cloud, where a case is among the items; offline or without a key they wait for it.

    Args:
        numbers: of items; of hand-overs where `whole`.
    """
    from contextlib import asynccontextmanager

    from store.handover import handover, item

    with session.reader.reading() as connection:
        if whole:
            found = [handover(connection, number) for number in numbers]
            items = [each for one in found if one is not None for each in one.items]
        else:
            items = [each for number in numbers if (each := item(connection, number)) is not None]

    @asynccontextmanager
    async def connected() -> Any:
        from store.credentials import CredentialError

        if session.settings.offline or all(each.case_number is None for each in items):
            yield None
            return
        entered = session.cloud()
        try:
            cloud = await entered.__aenter__()
        except CredentialError:
            yield None
            return
        try:
            yield cloud
        finally:
            await entered.__aexit__(None, None, None)

    return connected()


def _possible(do: Any) -> Any:
    """What an operation answers.

    Raises:
        Problem: it refused, with exit code 5; 2 where what was asked for is not there.
    """
    from store.errors import Mistaken
    from store.handover import HandoverError

    try:
        return do()
    except HandoverError as error:
        raise Problem(str(error), code=2 if isinstance(error, Mistaken) else 5) from error


def _run(session: Session, coroutine: "Coroutine[Any, Any, Any]") -> Any:
    return _possible(lambda: session.run(coroutine))
