"""`limegrove case`: the cases of all organizations, and what is wanted of them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.listing import gathered
from console.commands.session import Problem, Session, read_text, safe, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from console.operations.cases import CaseDesk, Made, Outcome
    from store.queries.cases import EditRow

_MOST_BYTES = 64 * 1024
"""That are read of a note; Cases take far less."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `case`."""
    from store.cases import NOTE_TYPES

    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, says: str, *, cases: str = "") -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=says)
        if cases:
            made.add_argument(
                "cases" if cases == "+" else "case",
                metavar="CASE",
                nargs="+" if cases == "+" else None,
                help="ORGANIZATION/NUMBER, or the number alone with --org; L3 is one of our own",
            )
            made.add_argument(
                "--org", dest="organization", metavar="OID|NAME", help="whose cases the numbers are"
            )
        return made

    listing = verb("list", "open cases, worst and newest first")
    listing.add_argument(
        "--filter", metavar="LINE", default="", help="as after / on screen: `sev:high who:mk is:conflict`"
    )
    listing.add_argument(
        "--limit", type=int, default=100, metavar="N", help="at most so many; 0 for all (100)"
    )
    listing.add_argument("--status", metavar="STATUS", help="new, in_progress, resolved, closed, open or any")
    listing.add_argument("--org", dest="organization", metavar="OID|NAME", help="of one organization only")
    verb("show", "one case, with all that it holds", cases="1")

    create = verb("create", "a case for alerts: one for each organization among them")
    create.add_argument("alerts", metavar="DETECT_ID", nargs="*", help="none makes an empty case")
    create.add_argument(
        "--org", dest="organization", metavar="OID|NAME", help="of an empty case, or where ids are shared"
    )
    create.add_argument("--summary", default="", metavar="TEXT")
    create.add_argument(
        "--severity", default="", metavar="SEVERITY", help="critical, high, medium, low or info"
    )

    note = verb("note", "add a note; the text is read from standard input unless given", cases="1")
    note.add_argument("--text", metavar="TEXT", help="the note")
    note.add_argument("--type", default="general", choices=NOTE_TYPES, help="what it is for (general)")
    note.add_argument("--public", action="store_true", help="the customer may see it")

    verb("ack", "new ones become in_progress", cases="+")
    for name, says in (
        ("close", "close cases"),
        ("resolve", "make cases that are in progress resolved"),
    ):
        closing = verb(name, says, cases="+")
        closing.add_argument(
            "--classification", metavar="CLASS", help="true_positive, false_positive or pending"
        )
        closing.add_argument("--conclusion", metavar="TEXT", help="what it came to")
        _confirming(closing)
    verb("reopen", "make closed cases in_progress again", cases="+")

    assign = verb("assign", "say whose cases they are", cases="+")
    assign.add_argument(
        "--to",
        metavar="NAME",
        action="append",
        default=[],
        help="may be given again; none takes them from everybody",
    )
    tag = verb("tag", "add tags and take tags away", cases="+")
    tag.add_argument("--add", metavar="TAG", action="append", default=[])
    tag.add_argument("--remove", metavar="TAG", action="append", default=[])

    entity = verb("entity", "attach an indicator", cases="1")
    entity.add_argument(
        "type", metavar="TYPE", help="ip, domain, hash, url, user, email, file, process, registry, other"
    )
    entity.add_argument("value", metavar="VALUE")
    entity.add_argument(
        "--verdict",
        default="unknown",
        metavar="VERDICT",
        help="malicious, suspicious, benign, unknown, informational",
    )
    entity.add_argument("--remark", default="", metavar="TEXT")
    telemetry = verb("telemetry", "attach the event that an alert is about", cases="1")
    telemetry.add_argument("alert", metavar="DETECT_ID")
    telemetry.add_argument("--verdict", default="unknown", metavar="VERDICT")
    link = verb("link", "put alerts into a case", cases="1")
    link.add_argument("alerts", metavar="DETECT_ID", nargs="+")

    merge = verb("merge", "merge cases of one organization into another of its cases", cases="1")
    merge.add_argument("sources", metavar="NUMBER", nargs="+", help="those that are merged, and closed")
    _confirming(merge)
    time = verb("time", "log time spent, to be billed", cases="1")
    time.add_argument("duration", metavar="DURATION", help="such as 45s, 30m or 2h")
    time.add_argument("--remark", default="", metavar="TEXT")

    from console.commands import campaign, handover

    handover.configure(verbs.add_parser("handover", help="what one shift gives to the next, item by item"))
    campaign.configure(verbs.add_parser("campaign", help="one incident over several customers"))

    export = verb("export", "a case whole, as JSON and as Markdown", cases="1")
    export.add_argument("--markdown", metavar="FILE", help="write Markdown there")
    export.add_argument("--json", metavar="FILE", help="write JSON there")
    export.add_argument(
        "--public",
        action="store_true",
        help="Markdown for the customer: no internal notes, remarks on entities, tags, history or names",
    )

    edits = verb("edits", "what is wanted of cases and not done: waiting, in conflict, refused")
    edits.add_argument("--all", action="store_true", help="also what was done")
    edits.add_argument("--send", action="store_true", help="send what waits first")
    decide = verb("decide", "decide a conflict, or what the cloud refused")
    decide.add_argument("edit", type=int, metavar="EDIT", help="its id, as `case edits` has it")
    decide.add_argument(
        "keep", choices=("theirs", "mine"), help="keep what the case has, or send it after all"
    )


def _confirming(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--confirm",
        metavar="NAME",
        action="append",
        default=[],
        help="the name or oid of a protected organization; may be given again",
    )


def run(session: Session) -> int:
    """Show cases, or want something of them."""
    verb: str = session.arguments.verb
    if verb in ("handover", "campaign"):
        from console.commands import campaign, handover

        return handover.run(session) if verb == "handover" else campaign.run(session)
    if verb == "list":
        return _list(session)
    if verb == "show":
        return _show(session)
    if verb == "export":
        return _export(session)
    if verb == "edits" and not session.arguments.send:
        _edits(session)
        return 0
    session.refuse_read_only(f"case {verb}")
    from console.operations.cases import Impossible

    try:
        return _VERBS[verb](session)
    except Impossible as error:
        raise Problem(f"{error} Nothing was changed.", code=2) from error


# Reading


def _list(session: Session) -> int:
    from store.casefile import listed
    from store.queries.cases import count, figures, page

    given = session.arguments
    wanted = _wanted(session)
    with session.reader.reading() as connection:
        rows = gathered(
            given.limit,
            lambda last, size: page(connection, wanted, after=last.key if last else None, limit=size),
        )
        total = count(connection, wanted)
        known = figures(connection, wanted.scope)
    waiting = [f"{known.pending} edits wait"] if known.pending else []
    waiting += [f"{known.needing} need a decision: `case edits`"] if known.needing else []
    session.show_rows(
        [listed(row) for row in rows],
        columns=("severity", "created_at", "organization", "name", "status", "assignees", "summary"),
        footer="; ".join([f"{len(rows)} of {total} cases", *waiting]),
    )
    return 0


def _wanted(session: Session) -> Any:
    from dataclasses import replace

    from store.alerts import FilterError
    from store.cases import parse_case_filter

    given = session.arguments
    try:
        wanted = parse_case_filter(given.filter, scope=session.scope())
        if given.status is not None:
            wanted = replace(wanted, statuses=parse_case_filter(f'status:"{given.status}"').statuses)
    except FilterError as error:
        raise Problem(f"--filter: {error}", code=2) from error
    if given.organization is not None:
        wanted = replace(wanted, oid=session.organization(given.organization))
    return wanted


def _show(session: Session) -> int:
    from store.casefile import case_file

    whole = case_file(_whole(session))
    session.show_object(_brief(whole) if session.output == "table" else whole)
    return 0


_BRIEFLY = {
    "alerts": ("time", "severity", "cat", "hostname", "status", "classification", "detect_id"),
    "events": ("time", "by", "action", "metadata"),
    "edits": ("id", "state", "what", "wanted", "by", "at", "reason"),
}


def _brief(whole: dict[str, Any]) -> dict[str, Any]:
    """A case for people: of each thing in it what tells something; nothing that is empty."""
    brief = {
        name: [{key: each[key] for key in _BRIEFLY[name]} for each in value] if name in _BRIEFLY else value
        for name, value in whole.items()
    }
    return {name: value for name, value in brief.items() if value not in (None, "", [])}


def _export(session: Session) -> int:
    import json

    from console.commands.output import json_text
    from console.commands.tree import write_whole
    from console.operations.files import replaceable
    from store.casefile import case_file, markdown

    given = session.arguments
    if given.public and (given.json or not given.markdown):
        raise Problem("--public goes with --markdown alone: as JSON a case is whole.", code=2)
    detail = _whole(session)
    whole = case_file(detail)
    for file in filter(None, (given.json, given.markdown)):
        replaceable(Path(file))
    if given.json:
        # Parsed and written again: what a terminal would obey is escaped, and the data are the same.
        write_whole(Path(given.json), json_text(json.loads(json_text(whole)), indent=True) + "\n")
    if given.markdown:
        write_whole(Path(given.markdown), markdown(detail, public_only=given.public))
    written = [name for name in (given.json, given.markdown) if name]
    if not written:
        session.show_object(whole)
    else:
        session.show_object({"case": detail.row.name, "oid": detail.row.oid, "written": written,
                             "complete": whole["complete"]})  # fmt: skip
    return 0


def _whole(session: Session) -> Any:
    """A case with everything: read anew from the cloud, unless it is offline."""
    from console.limacharlie.errors import Gone, LimaCharlieError
    from store.queries.cases import detail
    from store.times import rfc3339

    (case,) = _cases(session, [session.arguments.case])

    async def read(desk: "CaseDesk") -> Any:
        return await desk.read(case)

    found = None
    if case[1] > 0 and not session.settings.offline:
        try:
            found = session.run(_with_desk(session, read))
        except Gone as error:
            raise Problem(f"The cloud has no such case any more. {error}") from error
        except LimaCharlieError as error:
            session.say(f"The case is as it was read last: {error}")
    if found is None:
        with session.reader.reading() as connection:
            found = detail(connection, *case)
    if found is None:
        raise Problem("This case was taken out of the store a moment ago.")
    if found.lacking:
        when = f" (read at {rfc3339(found.read_at)})" if found.read_at is not None else ""
        session.say(f"Not whole: {found.lacking}{when}.")
    return found


def _edits(session: Session) -> "list[EditRow]":
    from store.casefile import edited
    from store.cases import CONFLICT, PENDING, REFUSED, SENDING
    from store.queries.cases import edits

    states = () if session.arguments.all else (PENDING, SENDING, CONFLICT, REFUSED)
    with session.reader.reading() as connection:
        found = edits(connection, states=states, scope=session.scope(), limit=10_000)
    session.show_rows(
        [edited(edit) for edit in found],
        columns=("id", "state", "organization", "name", "what", "by", "reason"),
        footer=f"{len(found)} edits",
    )
    return found


# Changing


async def _with_desk(session: Session, go: "Callable[[CaseDesk], Awaitable[Any]]") -> Any:
    from console.operations.cases import CaseDesk

    store, name = session.store(), session.operator
    if session.settings.offline:
        return await go(CaseDesk(store, None, operator=name))
    async with session.cloud() as cloud:
        return await go(CaseDesk(store, cloud, operator=name))


def _work(session: Session, go: "Callable[[CaseDesk], Awaitable[Any]]", *, here: bool = False) -> Any:
    """Let an operator's desk do something; `here`: it takes no cloud."""
    if not here:
        return session.run(_with_desk(session, go))
    from console.operations.cases import CaseDesk

    async def locally() -> Any:
        return await go(CaseDesk(session.store(), None, operator=session.operator))

    return session.run(locally())


def _create(session: Session) -> int:
    given = session.arguments
    if not given.alerts:
        if not given.organization:
            raise Problem("An empty case needs --org; otherwise name alerts.", code=2)
        oid = session.organization(given.organization)

        async def empty(desk: "CaseDesk") -> "list[Made]":
            return [await desk.create_empty(oid, summary=given.summary, severity=given.severity or "medium")]

        made = _work(session, empty, here=not _in_cloud(session, [oid]))
    else:
        alerts = _alerts(session, given.alerts)
        ids = list(alerts)

        async def go(desk: "CaseDesk") -> "list[Made]":
            return await desk.create(ids, summary=given.summary, severity=given.severity)

        made = _work(session, go, here=not _in_cloud(session, set(alerts.values())))
    session.show_rows(
        [
            {
                "oid": each.oid,
                "organization": each.organization,
                "number": each.number,
                "name": _called(each.number),
                "state": "existing" if each.existing and each.state == "made" else each.state,
                "existing": each.existing,
                "alerts": each.alerts,
                "note": each.note,
            }
            for each in made
        ],
        columns=("organization", "name", "state", "alerts", "note"),
        footer=f"{len(made)} organizations, one case each" if len(made) > 1 else "",
    )
    failed = [each for each in made if each.state == "refused"]
    waiting = [each for each in made if each.state == "pending"]
    for each in made:
        if each.existing and each not in failed:
            which = "of these alerts" if each.alerts > 1 else "this alert"
            more = "; the others join it" if each.alerts > 1 else ""
            session.say(f"{each.organization}: {_called(each.number)} holds {which} already{more}.")
    for each in failed:
        session.say(f"{each.organization}: {each.note}")
    if failed:
        return 5 if len(failed) == len(made) else 3
    return 3 if waiting and not session.settings.offline else 0


def _in_cloud(session: Session, oids: "Sequence[str] | set[str]") -> bool:
    from console.operations.cases import in_cloud

    with session.reader.reading() as connection:
        return any(in_cloud(connection, oid) for oid in oids)


def _note(session: Session) -> int:
    given = session.arguments
    case = _cases(session, [given.case])[0]
    text: str = given.text if given.text is not None else read_text(_MOST_BYTES)
    _warn_of_others(session, case[0], text)

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.note(case, text.strip(), note_type=given.type, public=given.public)

    return _told(session, _work(session, go, here=_here(session, [case])))


def _warn_of_others(session: Session, oid: str, text: str) -> None:
    """Ask, when a text for one customer names another.

    Raises:
        Problem: it is not to be sent then, or nobody can say; exit code 5.
    """
    from store.cases import names_others
    from store.queries.cases import customers

    with session.reader.reading() as connection:
        names = customers(connection)
    own = names.pop(oid, "")
    found = names_others(text, names, own=own)
    if found:
        named = ", ".join(safe(names[each]) for each in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        if not session.ask(f"This text for {safe(own or oid)} names {named}{more}. Add it all the same?"):
            raise Problem("Nothing was added.", code=5)


def _update(changes: dict[str, Any]) -> "Callable[[Session], int]":
    def do(session: Session) -> int:
        given = session.arguments
        cases = _cases(session, given.cases)
        if changes["status"] in ("closed", "resolved"):
            session.refuse_unnamed({oid for oid, _ in cases})
        fields = dict(changes)
        for name in ("classification", "conclusion"):
            value = getattr(given, name, None)
            if value is not None:
                fields[name] = value

        async def go(desk: "CaseDesk") -> "Outcome":
            return await desk.update(cases, fields)

        return _told(session, _work(session, go, here=_here(session, cases)))

    return do


def _begin(verb: str) -> "Callable[[Session], int]":
    def do(session: Session) -> int:
        cases = _cases(session, session.arguments.cases)

        async def go(desk: "CaseDesk") -> "Outcome":
            return await (desk.acknowledge(cases) if verb == "ack" else desk.reopen(cases))

        return _told(session, _work(session, go, here=_here(session, cases)))

    return do


def _assign(session: Session) -> int:
    given = session.arguments
    cases = _cases(session, given.cases)

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.assign(cases, given.to)

    return _told(session, _work(session, go, here=_here(session, cases)))


def _tag(session: Session) -> int:
    given = session.arguments
    cases = _cases(session, given.cases)

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.tag(cases, add=given.add, remove=given.remove)

    return _told(session, _work(session, go, here=_here(session, cases)))


def _entity(session: Session) -> int:
    given = session.arguments
    case = _cases(session, [given.case])[0]

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.entity(case, given.type, given.value, note=given.remark, verdict=given.verdict)

    return _told(session, _work(session, go, here=_here(session, [case])))


def _telemetry(session: Session) -> int:
    given = session.arguments
    case = _cases(session, [given.case])[0]
    (alert,) = _alerts(session, [given.alert], oid=case[0])

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.telemetry_of(case, alert, verdict=given.verdict)

    return _told(session, _work(session, go, here=_here(session, [case])))


def _link(session: Session) -> int:
    given = session.arguments
    case = _cases(session, [given.case])[0]
    alerts = list(_alerts(session, given.alerts, oid=case[0]))

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.link(case, alerts)

    return _told(session, _work(session, go, here=_here(session, [case])))


def _merge(session: Session) -> int:
    given = session.arguments
    oid, target = _cases(session, [given.case])[0]
    named = _cases(session, [word if "/" in word else f"{oid}/{word}" for word in given.sources])
    if others := {each for each, _ in named} - {oid}:
        raise Problem(f"{len(others)} other organizations' cases are named; none of these is merged.", code=2)
    sources = [number for _, number in named]
    session.refuse_unnamed({oid})

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.merge(oid, target, sources)

    return _told(session, _work(session, go, here=_here(session, [(oid, target)])))


def _time(session: Session) -> int:
    from store.times import parse_duration

    given = session.arguments
    case = _cases(session, [given.case])[0]
    try:
        seconds = parse_duration(given.duration)
    except ValueError as error:
        raise Problem(f"{shown(given.duration)}: {error}", code=2) from error

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.log_time(case, seconds, note=given.remark)

    return _told(session, _work(session, go, here=_here(session, [case])))


def _send(session: Session) -> int:
    if session.settings.offline:
        raise Problem(
            "`case edits --send` needs the cloud, and the session is offline; leave out --offline.", code=5
        )

    async def go(desk: "CaseDesk") -> Any:
        return await desk.send()

    drained = _work(session, go)
    for edit in _edits(session):
        if edit.state_word in ("conflict", "refused"):
            session.say(f"{edit.organization} {_called(edit.number)}: {edit.state_word}: {edit.reason}")
    if drained.trouble:
        session.say(drained.trouble)
        return 1 if not drained.done else 3
    return 3 if drained.conflicts or drained.refused else 0


def _decide(session: Session) -> int:
    given = session.arguments

    async def go(desk: "CaseDesk") -> "Outcome":
        return await desk.decide(given.edit, mine=given.keep == "mine")

    return _told(session, _work(session, go, here=given.keep == "theirs"))


_VERBS: "dict[str, Callable[[Session], int]]" = {
    "create": _create,
    "note": _note,
    "ack": _begin("ack"),
    "close": _update({"status": "closed"}),
    "resolve": _update({"status": "resolved"}),
    "reopen": _begin("reopen"),
    "assign": _assign,
    "tag": _tag,
    "entity": _entity,
    "telemetry": _telemetry,
    "link": _link,
    "merge": _merge,
    "time": _time,
    "edits": _send,
    "decide": _decide,
}


def _told(session: Session, outcome: "Outcome") -> int:
    """Print what came of it. 0 when all was done, or waits because of --offline; 3 a part; 5 nothing."""
    from store.casefile import edited

    refused = [
        {"id": None, "oid": each.oid, "organization": each.organization, "number": each.number,
         "name": _called(each.number), "state": "refused", "reason": each.reason}
        for each in outcome.refused
    ]  # fmt: skip
    session.show_rows(
        [{key: edited(edit)[key]
          for key in ("id", "oid", "organization", "number", "name", "state", "reason")}
         for edit in outcome.edits] + refused,
        columns=("state", "organization", "name", "reason"),
    )  # fmt: skip
    for each in outcome.failures:
        session.say(f"{each.organization} {_called(each.number)}: {each.reason}")
    if outcome.waiting and outcome.trouble:
        session.say(f"{outcome.waiting} wait: {outcome.trouble}")
    if not outcome.failures:
        return 3 if outcome.waiting and not session.settings.offline else 0
    return 3 if outcome.done or outcome.waiting else 5


def _called(number: int) -> str:
    from store.cases import reference

    return reference("", number)


# Naming cases and alerts


def _number(word: str) -> int:
    digits = word.strip().lstrip("#")
    local = digits[:1] in ("L", "l")
    digits = digits[1:] if local else digits
    if not (digits.isascii() and digits.isdigit() and 0 < len(digits) < 18 and int(digits)):
        raise Problem(
            f"{shown(word)} is not the number of a case, such as 12, or L3 of one of our own.", code=2
        )
    return -int(digits) if local else int(digits)


def _cases(session: Session, words: "Sequence[str]") -> list[tuple[str, int]]:
    """The cases that were named.

    Raises:
        Problem: one is not in the store, or a number alone is that of several; exit code 2.
    """
    from store.queries.cases import find

    found = []
    given = session.arguments.organization
    for word in words:
        name, slash, number = word.rpartition("/")
        oid = session.organization(name) if slash else session.organization(given) if given else ""
        with session.reader.reading() as connection:
            rows = find(connection, _number(number), oid=oid, scope=session.scope())
        if not rows:
            raise Problem(
                f"There is no case {shown(word)} in the store; `limegrove case list` names them, "
                "`limegrove sync` reads new ones.",
                code=2,
            )
        if len(rows) > 1:
            named = ", ".join(safe(f"{row.organization}/{row.name.lstrip('#')}") for row in rows[:5])
            raise Problem(
                f"{shown(word)} may be the case of several organizations: {named}. Give ORGANIZATION/NUMBER.",
                code=2,
            )
        found.append((rows[0].oid, rows[0].number))
    return found


def _alerts(session: Session, words: "Sequence[str]", oid: str = "") -> dict[int, str]:
    """Number in the store -> oid, of the alerts that were named.

    Raises:
        Problem: one is not in the store, or several organizations have it; exit code 2.
    """
    from store.queries.alerts import by_detect_id

    given = getattr(session.arguments, "organization", None)
    oid = oid or (session.organization(given) if given else "")
    found: dict[int, str] = {}
    for word in words:
        with session.reader.reading() as connection:
            rows = [each.row for each in by_detect_id(connection, word) if oid in ("", each.row.oid)]
        if not rows:
            raise Problem(f"There is no alert {shown(word)} in the store.", code=2)
        if len(rows) > 1:
            raise Problem(f"{len(rows)} organizations have an alert {shown(word)}. Give --org.", code=2)
        found[rows[0].id] = rows[0].oid
    return found


def _here(session: Session, cases: "Sequence[tuple[str, int]]") -> bool:
    """Whether all of them are only here, so that no cloud is needed."""
    from store.queries.cases import cases_numbered

    with session.reader.reading() as connection:
        return all(row.local for row in cases_numbered(connection, cases))
