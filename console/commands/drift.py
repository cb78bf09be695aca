"""`limegrove drift`: where organizations are not as their templates want them, and what is decided of it."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.drift import Drift
    from store.queries.drift import Attribution, Report
    from store.templates.documents import Key

CLASSES = ("missing", "unreadable", "changed", "disabled", "expired", "extra")
DECISIONS = ("accept", "deny", "exclude", "undo")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `drift`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser(
        "show",
        help="what deviates, who changed it and when, the worst first",
        description="From what was last read, without the network; the age of the oldest reading is said. "
        "Exit codes: 0 nothing deviates, 3 some organizations could not be looked at, 4 something does.",
    )
    show.add_argument(
        "--class", dest="drift", choices=CLASSES, action="append", help="only this; again for more"
    )
    show.add_argument("--org", metavar="OID|NAME", help="only of this organization")
    show.add_argument("--record", metavar="RECORD", help="only this one, as hives/fp/NAME")
    show.add_argument("--all", action="store_true", help="accepted and excluded deviations too")
    show.add_argument(
        "--heat", action="store_true", help="records by organizations, those alike in one column"
    )
    show.add_argument("--diff", action="store_true", help="with what differs, part by part")
    decide = verbs.add_parser(
        "decide",
        help="decide once about a deviation: accept, deny, exclude; or undo",
        description="accept: no drift until the date, and as long as it is as it is now; a rollout still "
        "puts it right. deny: shown until it is put right. exclude: no drift, and in no plan. undo: forget "
        "what was decided.",
    )
    decide.add_argument("org", metavar="ORG", help="oid or name")
    decide.add_argument("record", metavar="RECORD", help="as hives/fp/NAME or outputs/NAME")
    decide.add_argument("decision", metavar="accept|deny|exclude|undo", choices=DECISIONS)
    decide.add_argument("--until", metavar="WHEN", help="of accept: a date such as 2026-12-31, or 30d")
    decide.add_argument("--reason", metavar="TEXT", default="", help="why; needed but for undo")
    promote = verbs.add_parser(
        "promote",
        help="take what an organization has into a template, as its newest version",
        description="Nothing is written to the cloud: the next plan brings it to the other organizations.",
    )
    promote.add_argument("org", metavar="ORG", help="oid or name")
    promote.add_argument("record", metavar="RECORD", help="as hives/fp/NAME or outputs/NAME")
    promote.add_argument("--template", metavar="NAME", required=True, help="made where there is none")
    promote.add_argument("--rewrite", action="store_true", help="the comments of its document may be lost")
    verbs.add_parser("alike", help="rules that do the same under other names, or in other words")


def run(session: Session) -> int:
    """Do what the verb says."""
    verb: str = session.arguments.verb
    return {"show": _show, "decide": _decide, "promote": _promote, "alike": _alike}[verb](session)


def _report(session: Session, connection: "Connection", oid: str = "") -> "Report":
    from sqlalchemy import select

    from store import models
    from store.queries.drift import report
    from store.times import now_ms

    scope = session.scope()
    if oid and not scope:
        node: Any = models.Node.__table__  # type: ignore[attr-defined]
        scope = connection.execute(select(node.c.id).where(node.c.oid == oid)).scalar_one_or_none() or oid
    return report(connection, scope=scope, key=session.known_redaction_key(), now=now_ms())


def _record(word: str) -> "Key":
    from store.templates.effective import key_of

    found = key_of(word)
    if found is None:
        raise Problem(
            f"{shown(word)} names no record; write hives/fp/NAME, outputs/NAME or extensions/NAME.",
            code=2,
        )
    return found


def _show(session: Session) -> int:
    from store.queries.drift import attributed, diff_of, heat
    from store.times import now_ms, rfc3339

    given = session.arguments
    oid = session.organization(given.org) if given.org else ""
    record = _record(given.record) if given.record else None
    with session.reader.reading() as connection:
        found = _report(session, connection, oid)
        some = [
            each
            for each in found.drifts
            if (given.all or each.standing)
            and (not given.drift or each.drift in given.drift)
            and (not oid or each.oid == oid)
            and (record is None or each.key == record)
        ]
        who = {} if given.heat else attributed(connection, some)
        diffs = (
            [
                [part.words for part in diff_of(connection, found, each, session.known_redaction_key())]
                for each in some
            ]
            if given.diff
            else []
        )
    hidden = sum(1 for each in found.drifts if not each.standing)
    blocked = [
        {"oid": each, "organization": str(found.organizations.get(each, "")), "reason": reason}
        for each, reason in found.blocked
    ]
    facts: dict[str, Any] = {
        "read_at": rfc3339(found.oldest),
        "organizations": len(found.organizations),
        "counts": dict(found.counts),
        "hidden": hidden,
        "blocked": blocked,
        "failed": [{"oid": each, "reason": reason} for each, reason in found.failed],
    }
    if given.heat:
        from dataclasses import replace

        table = heat(replace(found, drifts=tuple(each for each in some if each.standing)))
        session.show_object(
            facts
            | {
                "columns": [
                    {"count": len(each.oids), "oids": list(each.oids), "first": str(each.name)}
                    for each in table.columns
                ],
                "lines": [
                    {
                        "record": each.what, "organizations": each.organizations, "worst": each.worst,
                        "cells": {str(number): word for number, word in each.cells.items()},
                    }
                    for each in table.lines
                ],
            },
            rows=[
                {"record": each.what, "worst": each.worst, "organizations": each.organizations}
                for each in table.lines
            ],
            columns=("worst", "organizations", "record"),
        )  # fmt: skip
    else:
        rows = [_row(each, found, who.get((each.oid, *each.key))) for each in some]
        for row, diff in zip(rows, diffs, strict=False):
            row["diff"] = diff
        session.show_object(
            facts | {"drift": rows},
            rows=rows,
            columns=("class", "record", "organization", "by", "at", "decision")
            + (("diff",) if diffs else ()),
        )
    from store.times import age

    session.say(
        f"{sum(each.standing for each in some):,} deviations of {len(found.organizations):,} organizations, "
        f"{hidden:,} accepted or excluded; read {age(found.oldest, now_ms())} ago at the oldest"
    )
    for one in blocked[:20]:
        session.say(f"Not compared: {safe(one['organization'])}: {one['reason']}")
    for each, reason in found.failed[:20]:
        session.say(f"Not read again: {safe(str(found.organizations.get(each, each)))}: {reason}")
    if any(each.standing for each in some):
        return 4
    return 3 if blocked else 0


def _row(each: "Drift", found: "Report", who: "Attribution | None") -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "oid": each.oid,
        "organization": str(found.organizations.get(each.oid, "")),
        "record": each.what,
        "section": each.section or None,
        "name": each.name or None,
        "class": each.drift,
        "by": str(who.by) or None if who is not None else None,
        "at": rfc3339(who.at) if who is not None else None,
        "told_by": who.source if who is not None else None,
        "template": each.after.template if each.after is not None else None,
        "decision": each.holds or None,
        "until": rfc3339(each.until),
        "reason": each.reason or None,
        "decided_by": each.by or None,
    }


def _one(session: Session, org: str, word: str) -> "Drift":
    """The deviation that is meant."""
    from store.queries.drift import at

    oid, record = session.organization(org), _record(word)
    with session.reader.reading() as connection:
        found = _report(session, connection, oid)
    if oid not in found.organizations:
        raise Problem(f"No template is assigned above {shown(org)}, so nothing of it deviates.", code=2)
    one = at(found, oid, record)
    if one is None:
        why = next((reason for each, reason in found.blocked if each == oid), "")
        raise Problem(
            f"{shown(word)} of {shown(org)} "
            + (
                f"cannot be compared: {why}"
                if why
                else "is as wanted, as far as was read; nothing was changed."
            ),
            code=2,
        )
    return one


def _decide(session: Session) -> int:
    from console.operations.drift import Refused, decide, undecide
    from store.times import now_ms, rfc3339

    given = session.arguments
    session.refuse_read_only("drift decide")
    if given.decision == "undo":
        oid, record = session.organization(given.org), _record(given.record)
        if not undecide(session.store(), oid, record):
            raise Problem(f"Nothing is decided about {shown(given.record)} of {shown(given.org)}.", code=2)
        session.show_object({"oid": oid, "record": given.record, "decision": None})
        return 0
    if not given.reason.strip():
        raise Problem(
            "`drift decide` needs --reason: it stands in the journal, and beside the record.", code=2
        )
    now = now_ms()
    until = _until(given.until, now) if given.until else None
    one = _one(session, given.org, given.record)
    try:
        done = decide(
            session.store(), one, given.decision, until=until, reason=given.reason,
            by=session.operator, key=session.known_redaction_key(), now=now,
        )  # fmt: skip
    except Refused as error:
        raise Problem(str(error), code=2) from error
    session.show_object(
        {
            "oid": done.oid, "record": done.what, "class": done.drift, "decision": done.holds,
            "until": rfc3339(done.until), "reason": done.reason, "decided_by": done.by,
        }
    )  # fmt: skip
    return 0


def _until(word: str, now: int) -> int:
    from store.drift import until_of

    try:
        return until_of(word, now)
    except ValueError as error:
        raise Problem(f"--until: {error}", code=2) from error


def _promote(session: Session) -> int:
    from console.operations.drift import Refused, promote

    given = session.arguments
    session.refuse_read_only("drift promote")
    one = _one(session, given.org, given.record)
    try:
        made = promote(session.store(), one, given.template, by=session.operator, rewrite=given.rewrite)
    except Refused as error:
        raise Problem(str(error), code=5) from error
    session.show_object(
        {
            "template": made.template, "version": made.version, "new": made.new, "record": made.record,
            "replaced": made.replaced, "comments_kept": made.comments_kept,
        }
    )  # fmt: skip
    return 0


def _alike(session: Session) -> int:
    from store.queries.drift import alike

    with session.reader.reading() as connection:
        found = alike(connection, scope=session.scope())
    session.show_rows(
        [
            {
                "section": each.section,
                "names": [{"name": name, "organizations": number} for name, number in each.names],
                "organizations": each.organizations,
                "contents": each.bodies,
                "template": each.wanted,
            }
            for each in found
        ]
        if session.output not in ("table", "csv")
        else [
            {
                "section": each.section,
                "names": ", ".join(f"{name} ({number:,})" for name, number in each.names),
                "organizations": each.organizations,
                "contents": each.bodies,
                "template": each.wanted,
            }
            for each in found
        ],
        columns=("section", "organizations", "contents", "template", "names"),
        footer=f"{len(found):,} rules that others do as well",
    )
    return 0
