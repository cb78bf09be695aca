"""What the operator wants of cases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual.content import Content

from console.limacharlie.errors import Gone, LimaCharlieError
from console.operations.cases import Case, CaseDesk, Impossible, Made, Outcome
from console.requests import Handler, Host, RefusedHere
from console.requests import read as ask_store
from screens.dialogs.choose_one import ChooseOne, Option
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.dialogs.type_name import Name, TypeName
from screens.keys import press
from screens.requests import (
    AddEntity,
    AddNote,
    ChangeCases,
    CreateCase,
    DecideEdits,
    LogTime,
    MergeCases,
    ReadCase,
    ShowCase,
)
from screens.widgets.case_detail import wanted_words
from screens.widgets.text import line
from store.alerts import BENIGN, SEVERITIES
from store.cases import (
    CONFLICT,
    ENTITY_TYPES,
    LONG_TEXT,
    NOTE_TYPES,
    VERDICTS,
    names_others,
    reference,
    why_not_entity,
    why_not_text,
)
from store.queries import cases as queries
from store.queries.cases import CaseRow, EditRow
from store.queries.organizations import organizations
from store.queries.people import people
from store.queries.scopes import marked
from store.text import safe_text
from store.times import parse_duration
from store.triage import CLOSED

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from screens.requests import Work

NAMED = 3
"""Organizations named in a sentence before the rest is counted."""

CLOSINGS: tuple[tuple[str, str, str, str], ...] = (
    ("t", "closed", "true_positive", "close: true positive"),
    ("f", "closed", "false_positive", "close: false positive"),
    ("b", "closed", BENIGN, "close: benign true positive, tagged so"),
    ("T", "resolved", "true_positive", "resolve: true positive"),
    ("F", "resolved", "false_positive", "resolve: false positive"),
)
"""(key, status, class, words)"""


# -- what all of it needs --------------------------------------------------------------------------------


def _desk(host: Host) -> CaseDesk:
    """The operator's desk; without a cloud what is wanted waits.

    Raises:
        RefusedHere: the console is read-only.
    """
    cloud: Cloud | None
    try:
        cloud = host.cloud()
    except RefusedHere:
        cloud = None
    return CaseDesk(host.writing_store(), cloud, operator=host.operator, clock=host.context.clock)


async def _rows(host: Host, cases: Sequence[Case]) -> list[CaseRow]:
    """The cases as the store has them.

    Raises:
        RefusedHere: none of them is there any more.
    """

    def read() -> list[CaseRow]:
        with host.context.reader.reading() as connection:
            return queries.cases_numbered(connection, cases)

    rows = await asyncio.to_thread(read)
    if not rows:
        raise RefusedHere("This case is no longer in the store.")
    return rows


async def _row(host: Host, oid: str, number: int) -> CaseRow:
    return (await _rows(host, [(oid, number)]))[0]


def _about(does: str, rows: Sequence[CaseRow]) -> Content:
    """`Close 3 cases` over whose they are."""
    names = list(dict.fromkeys(str(row.organization) for row in rows))
    parts: list[str | Content | tuple[str, str]] = []
    for number, name in enumerate(names[:NAMED]):
        parts += [Content(", " if number else ""), (name, "bold")]
    if len(names) > NAMED:
        parts.append(Content(f" and {len(names) - NAMED} more"))
    if len(rows) == 1:
        head = line(Content.styled(f"{does} case ", "bold"), (rows[0].name, "bold"))
        return Content("\n").join([head, line(*parts), line(rows[0].summary)])
    return Content("\n").join([Content.styled(f"{does} {len(rows):,} cases", "bold"), line(*parts)])


async def _said(host: Host, did: str, wanted: Any, rows: Sequence[CaseRow]) -> None:
    """Wait for what was wanted of these cases, and say what came of it, and whose they are."""
    try:
        outcome: Outcome = await wanted
    except Impossible as error:
        raise RefusedHere(f"{error} Nothing was changed.") from error
    failures = outcome.failures
    parts = []
    if outcome.done:
        many = outcome.done > 1 or bool(failures)
        parts.append(f"{outcome.done:,} {did[:1].lower()}{did[1:]}" if many else did)
    if outcome.waiting:
        parts.append(
            f"{outcome.waiting:,} wait for the cloud" if outcome.waiting > 1 else "1 waits for the cloud"
        )
    conflicts = len(outcome.of(CONFLICT))
    if conflicts:
        parts.append(f"{conflicts:,} in conflict: {press('cases.decide', 'd')} decides")
    refused = len(failures) - conflicts
    if refused:
        first = next(each for each in failures if not any(
            edit.state == CONFLICT and edit.number == each.number for edit in outcome.edits
        ))  # fmt: skip
        parts.append(f"{refused:,} refused: {first.reason}" if refused > 1 else first.reason)
    text = ("; ".join(parts) or "Nothing was to be changed").removesuffix(".")
    host.say(f"{text}: {_whose(rows)}.", "warning" if failures else "plain")


def _whose(rows: Sequence[CaseRow]) -> str:
    """Which case of whom, or how many of whom: `#12 of Acme Dental`, `3 cases of 2 organizations`."""
    names = {row.oid: str(row.organization) for row in rows}
    of = next(iter(names.values())) if len(names) == 1 else f"{len(names):,} organizations"
    return f"{rows[0].name} of {of}" if len(rows) == 1 else f"{len(rows):,} cases of {of}"


async def _names(host: Host) -> dict[str, str]:
    def read() -> dict[str, str]:
        with host.context.reader.reading() as connection:
            names = queries.customers(connection)
        # Looked at once here, ten thousand names cost nothing when enter is pressed.
        names_others("", names)
        return names

    return await asyncio.to_thread(read)


def _doubt(own: str, others: Mapping[str, str], place: int) -> Callable[[Values], str]:
    """Warns of a text for one customer that names another."""

    def doubtful(values: Values) -> str:
        found = names_others(values[place], others, own=own)
        if not found:
            return ""
        named = ", ".join(safe_text(others[oid], 40) for oid in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return f"This text for {safe_text(own, 40)} names {named}{more}."

    return doubtful


async def _others(host: Host, oid: str) -> tuple[str, dict[str, str]]:
    """The name of an organization, and those of all others."""
    names = await _names(host)
    own = names.pop(oid, oid)
    return own, names


# -- making, showing, reading -----------------------------------------------------------------------------


async def create(host: Host, request: CreateCase) -> None:
    """Ask for a summary, make a case for each organization, and show it when there is one."""
    desk = _desk(host)
    if not request.alert_ids and not request.oid:
        oid = await _choose(host)
        if not oid:
            return
        request = CreateCase(oid=oid)

    def about() -> tuple[dict[str, int], str]:
        from store import triage

        with host.context.reader.reading() as connection:
            names = queries.customers(connection)
            if not request.alert_ids:
                return {names.get(request.oid, request.oid): 0}, request.oid
            counts = triage.organizations(connection, triage.Selection(request.alert_ids))
        found = {names.get(oid, oid): count for oid, count in counts.items()}
        return found, next(iter(counts)) if len(counts) == 1 else ""

    counts, only = await asyncio.to_thread(about)
    if not counts:
        raise RefusedHere("These alerts are no longer in the store.")
    names = list(counts)
    parts: list[str | Content | tuple[str, str]] = []
    for number, name in enumerate(names[:NAMED]):
        parts += [Content(", " if number else ""), (name, "bold")]
    if len(names) > NAMED:
        parts.append(Content(f" and {len(names) - NAMED} more"))
    alerts = sum(counts.values())
    what = f"of {alerts:,} alert{'' if alerts == 1 else 's'}" if alerts else "without alerts"
    lines = [Content.styled(f"New case {what}", "bold"), line(*parts)]
    if len(names) > 1:
        lines.append(Content(f"{len(names)} organizations: one case each, no customer in another's."))

    def wrong(values: Values) -> str:
        if values[1] and values[1] not in SEVERITIES:
            return f"A severity is one of {', '.join(SEVERITIES)}."
        return why_not_text("The summary", values[0], LONG_TEXT, required=not request.alert_ids)

    own, others = await _others(host, only)
    if not only:
        # It goes to all of them, so none of their names may be in it.
        own, others = "", await _names(host)
    values = await host.ask(
        FillIn(
            Content("\n").join(lines),
            [Field("summary", hint="empty: what the gravest alert is" if request.alert_ids else ""),
             Field("severity", hint="empty: as the alerts are" if request.alert_ids else "medium")],
            does="make it",
            wrong=wrong,
            doubtful=_doubt(own or "several customers", others, 0),
        )
    )  # fmt: skip
    if values is None:
        return
    try:
        if request.alert_ids:
            made = await desk.create(request.alert_ids, summary=values[0], severity=values[1])
        else:
            made = [await desk.create_empty(request.oid, summary=values[0], severity=values[1] or "medium")]
    except Impossible as error:
        raise RefusedHere(f"{error} Nothing was made.") from error
    _say_made(host, made)
    if len(made) == 1 and made[0].state != "refused":
        await show(host, ShowCase(made[0].oid, made[0].number))


async def _choose(host: Host) -> str:
    """An organization of the scope; "" when the operator went back."""

    def read() -> list[Choice]:
        with host.context.reader.reading() as connection:
            rows = organizations(connection, scope=host.context.scope.node_id, now=host.context.clock())
        return [Choice(row.oid, row.name, row.path or row.name) for row in rows]

    choices = await asyncio.to_thread(read)
    if not choices:
        raise RefusedHere("There is no organization in this scope.")
    return await host.ask(ChooseOrganization(choices, title="Case for"))


def _say_made(host: Host, made: Sequence[Made]) -> None:
    failed = [each for each in made if each.state == "refused"]
    parts = []
    for each in made[:NAMED]:
        name = f"{safe_text(each.organization, 40)} {reference('', each.number)}"
        words = {"made": "", "here": " (kept here)", "pending": " (waits for the cloud)"}
        existing = " (was there)" if each.existing else ""
        parts.append(name + (existing or words.get(each.state, f": {each.note}")))
    if len(made) > NAMED:
        parts.append(f"and {len(made) - NAMED} more")
    head = "Case: " if len(made) == 1 else f"{len(made) - len(failed)} cases, one for each organization: "
    host.say(head + ", ".join(parts), "warning" if failed else "plain")


async def show(host: Host, request: ShowCase) -> None:
    """Go to the cases, and show this one."""
    view = await host.show_mode("cases")
    cast("Any", view).show_case(request.oid, request.number)


async def read(host: Host, request: ReadCase) -> None:
    """Read a case again; that it cannot be read is said, and the old one stays."""
    try:
        await _desk(host).read((request.oid, request.number))
    except Gone:
        host.say("The cloud has no such case any more.", "warning")
    except LimaCharlieError as error:
        host.say(f"The case is as it was read last: {error}", "warning")


# -- what is said and held ---------------------------------------------------------------------------------


async def note(host: Host, request: AddNote) -> None:
    """Ask for a note; one that names another customer is asked about twice."""
    desk = _desk(host)
    row = await _row(host, request.oid, request.number)
    own, others = await _others(host, request.oid)

    def wrong(values: Values) -> str:
        if values[1] not in NOTE_TYPES:
            return f"The type is one of {', '.join(NOTE_TYPES)}."
        if values[2].lower() not in ("y", "yes", "n", "no", ""):
            return "Whether the customer may see it: yes or no."
        return why_not_text("The note", values[0], LONG_TEXT)

    values = await host.ask(
        FillIn(
            _about("Note on", [row]),
            [Field("note", request.text), Field("type", "general", "analysis, handoff, to_stakeholder, ..."),
             Field("public", "no", "yes: the customer may see it")],
            does="add the note",
            wrong=wrong,
            doubtful=_doubt(own, others, 0),
        )
    )  # fmt: skip
    if values is not None:
        public = values[2].lower() in ("y", "yes")
        did = "Noted, and the customer may see it" if public else "Noted"
        wanted = desk.note((row.oid, row.number), values[0], note_type=values[1], public=public)
        await _said(host, did, wanted, [row])


async def entity(host: Host, request: AddEntity) -> None:
    """Ask for an indicator."""
    desk = _desk(host)
    row = await _row(host, request.oid, request.number)

    def wrong(values: Values) -> str:
        if values[0] not in ENTITY_TYPES:
            return f"The type is one of {', '.join(ENTITY_TYPES)}."
        if values[2] not in VERDICTS:
            return f"The verdict is one of {', '.join(VERDICTS)}."
        return why_not_text("The value", values[1], 1024) or why_not_entity(values[0], values[1])

    values = await host.ask(
        FillIn(
            _about("Indicator for", [row]),
            [Field("type", "ip", "ip, domain, hash, url, user, ..."), Field("value"),
             Field("verdict", "unknown", "malicious, suspicious, ..."), Field("remark")],
            does="attach it",
            wrong=wrong,
        )
    )  # fmt: skip
    if values is not None:
        kind, value, verdict, remark = values
        await _said(
            host,
            "Attached",
            desk.entity((row.oid, row.number), kind, value, note=remark, verdict=verdict),
            [row],
        )


async def time(host: Host, request: LogTime) -> None:
    """Ask how long was worked on a case."""
    desk = _desk(host)
    row = await _row(host, request.oid, request.number)

    def wrong(values: Values) -> str:
        try:
            return "" if parse_duration(values[0]) > 0 else "It is more than nothing."
        except ValueError as error:
            return f"How long: {error}"

    values = await host.ask(
        FillIn(
            _about("Time spent on", [row]),
            [Field("time", hint="30m, 2h"), Field("remark")],
            does="log it, to be billed",
            wrong=wrong,
        )
    )
    if values is not None:
        await _said(
            host,
            "Logged",
            desk.log_time((row.oid, row.number), parse_duration(values[0]), note=values[1]),
            [row],
        )


async def merge(host: Host, request: MergeCases) -> None:
    """Merge cases into one, after asking; they are closed then."""
    desk = _desk(host)
    row = await _row(host, request.oid, request.number)
    given = " ".join(reference("", number) for number in request.sources)
    there = await ask_store(host, lambda c: queries.statuses(c, request.oid))

    def wrong(values: Values) -> str:
        try:
            numbers = _numbers(values[0])
        except ValueError:
            return "Numbers of cases, such as 12 15."
        if not numbers:
            return "Which cases? Their numbers, such as 12 15."
        for number in numbers:
            name = reference("", number)
            if number == row.number:
                return f"{name} is the case itself."
            if number not in there:
                return f"There is no case {name} of {row.organization} in the store."
            if there[number] >= CLOSED:
                return f"The case {name} is closed, and cannot be merged."
        return ""

    heading = Content("\n").join(
        [_about("Merge into", [row]), Content("The others are closed, and this one gets their alerts.")]
    )
    values = await host.ask(
        FillIn(
            heading, [Field("cases", given, "their numbers: 12 15")], does="merge; it cannot be undone",
            wrong=wrong,
        )
    )  # fmt: skip
    if values is None or not await _confirmed(host, "Merge", [row], "merge"):
        return
    await _said(host, "Merged", desk.merge(row.oid, row.number, _numbers(values[0])), [row])


def _numbers(text: str) -> list[int]:
    found = []
    for word in text.replace(",", " ").split():
        digits = word.lstrip("#")
        found.append(-int(digits[1:]) if digits[:1] in ("L", "l") else int(digits))
    return found


# -- what becomes of cases ---------------------------------------------------------------------------------


async def change(host: Host, request: ChangeCases) -> None:
    """Claim, acknowledge, close, reopen, assign or tag cases."""
    desk = _desk(host)
    rows = await _rows(host, request.cases)
    cases = [(row.oid, row.number) for row in rows]
    match request.verb:
        case "claim":
            await _claim(host, desk, rows)
        case "acknowledge":
            await _said(host, "In progress", desk.acknowledge(cases), rows)
        case "reopen":
            await _said(host, "Reopened", desk.reopen(cases), rows)
        case "close":
            await _close(host, desk, rows)
        case "assign":
            await _assign(host, desk, rows)
        case "tag":
            await _tag(host, desk, rows)


async def _claim(host: Host, desk: CaseDesk, rows: Sequence[CaseRow]) -> None:
    """Mine alone; a new one becomes in progress."""
    new = [(row.oid, row.number) for row in rows if row.fields()["status"] == "new"]
    others = [(row.oid, row.number) for row in rows if row.fields()["status"] != "new"]

    async def both() -> Outcome:
        found = Outcome()
        for cases, more in ((new, {"status": "in_progress"}), (others, {})):
            if cases:
                got = await desk.update(cases, {"assignees": [host.operator], **more})
                found = Outcome(
                    found.edits + got.edits, found.refused + got.refused, found.trouble or got.trouble
                )
        return found

    await _said(host, f"Claimed for {host.operator}", both(), rows)


async def _close(host: Host, desk: CaseDesk, rows: Sequence[CaseRow]) -> None:
    not_begun = any(row.fields()["status"] != "in_progress" for row in rows)
    why = "Only a case that is in progress can be resolved." if not_begun and len(rows) == 1 else ""
    options = [Option(key, words, why if status == "resolved" else "") for key, status, _, words in CLOSINGS]
    chosen = await host.ask(ChooseOne(_about("Close", rows), options))
    if chosen is None:
        return
    _, status, kind, words = next(each for each in CLOSINGS if each[0] == chosen)
    one = rows[0] if len(rows) == 1 else None
    own, others = await _others(host, one.oid if one else "")

    def wrong(values: Values) -> str:
        return why_not_text("The conclusion", values[0], LONG_TEXT, required=False)

    heading = Content("\n").join([_about("Close", rows), Content(words)])
    values = await host.ask(
        FillIn(
            heading,
            [Field("found", str(one.conclusion) if one else "", "the conclusion; the customer may read it")],
            does=status.replace("closed", "close").replace("resolved", "resolve"),
            wrong=wrong,
            doubtful=_doubt(own if one else "several customers", others, 0),
        )
    )
    if values is None or not await _confirmed(host, "Close", rows, "close"):
        return
    cases = [(row.oid, row.number) for row in rows]
    changes: dict[str, Any] = {
        "status": status,
        "classification": "true_positive" if kind == BENIGN else kind,
    }
    if values[0]:
        changes["conclusion"] = values[0]
    if kind == BENIGN:
        await desk.tag(cases, add=[BENIGN])
    await _said(host, "Closed" if status == "closed" else "Resolved", desk.update(cases, changes), rows)


async def _confirmed(host: Host, does: str, rows: Sequence[CaseRow], word: str) -> bool:
    """Whether the name of every protected organization was typed."""

    def protected() -> dict[str, str]:
        with host.context.reader.reading() as connection:
            return {
                oid: str(name)
                for oid, name in marked(connection, "protected", {row.oid for row in rows}).items()
            }

    names = await asyncio.to_thread(protected)
    if not names:
        return True
    heading = Content("\n").join(
        [
            _about(does, rows),
            Content.styled("Protected: its name is typed.", "bold"),
            line(*(part for name in names.values() for part in ((name, "bold"), Content("  ")))),
        ]
    )
    asked = [Name.of("customer", name, oid) for oid, name in names.items()]
    return await host.ask(TypeName(heading, asked, does=word)) is not None


async def _assign(host: Host, desk: CaseDesk, rows: Sequence[CaseRow]) -> None:
    now = ", ".join(rows[0].assignees) if len(rows) == 1 else ""
    held = {name for row in rows for name in row.assignees}
    known = await ask_store(host, lambda c: people(c, also=[host.operator, *held]))

    def doubtful(values: Values) -> str:
        return next((doubt for name in values[0].split(",") if (doubt := known.doubt(name))), "")

    values = await host.ask(
        FillIn(
            _about("Assign", rows),
            [Field("to", now or host.operator, "names with commas; empty is nobody")],
            does="assign",
            doubtful=doubtful,
        )
    )
    if values is not None:
        names = [name.strip() for name in values[0].split(",") if name.strip()]
        cases = [(row.oid, row.number) for row in rows]
        await _said(host, f"Assigned to {', '.join(names) or 'nobody'}", desk.assign(cases, names), rows)


async def _tag(host: Host, desk: CaseDesk, rows: Sequence[CaseRow]) -> None:
    tags = ", ".join(rows[0].tags) if len(rows) == 1 else ""
    heading = Content("\n").join([_about("Tag", rows), *([line(("has  ", "dim"), tags)] if tags else [])])

    def wrong(values: Values) -> str:
        return "" if any(values) else "Which tags? Several with commas between."

    values = await host.ask(
        FillIn(
            heading,
            [Field("add", hint="several with commas"), Field("take off")],
            does="tag",
            wrong=wrong,
        )
    )
    if values is not None:
        add, remove = ([tag.strip() for tag in value.split(",") if tag.strip()] for value in values)
        cases = [(row.oid, row.number) for row in rows]
        await _said(host, "Tagged", desk.tag(cases, add=add, remove=remove), rows)


# -- what was not done -------------------------------------------------------------------------------------


async def decide(host: Host, request: DecideEdits) -> None:
    """Show both sides of everything that is undecided about a case, one after the other."""
    desk = _desk(host)
    row = await _row(host, request.oid, request.number)

    def undecided() -> list[EditRow]:
        with host.context.reader.reading() as connection:
            return queries.edits(connection, states=queries.UNDECIDED, oid=request.oid, number=request.number)

    edits = await asyncio.to_thread(undecided)
    for edit in edits:
        chosen = await host.ask(ChooseOne(_both_sides(row, edit), _decisions(edit)))
        if chosen is None:
            return
        try:
            outcome = await desk.decide(edit.id, mine=chosen == "m")
        except Impossible as error:
            host.say(str(error), "warning")
            continue
        failures = outcome.failures
        if failures:
            host.say(failures[0].reason, "warning")
        elif outcome.waiting:
            host.say(f"It waits for the cloud: {_whose([row])}.")
        else:
            host.say(f"{'Sent' if chosen == 'm' else 'What the case has was kept'}: {_whose([row])}.")


def _decisions(edit: EditRow) -> list[Option]:
    follows = ", and its alerts follow" if edit.by == "alerts" else ""
    return [
        Option("t", f"theirs: keep what the case has{follows}"),
        Option("m", "mine: send it over what the case has now"),
    ]


def _both_sides(row: CaseRow, edit: EditRow) -> Content:
    there = edit.found.get("case")
    lines = [
        _about("Decide about", [row]),
        Content(),
        line((edit.reason, "bold")),
        line(("mine    ", "dim"), wanted_words(edit), (f"   by {edit.by}", "dim")),
    ]
    if isinstance(there, dict):
        theirs = ", ".join(f"{name} {there.get(name) or 'empty'}" for name in edit.wanted if name in there)
        lines.append(line(("theirs  ", "dim"), theirs))
    return Content("\n").join(lines)


HANDLERS: dict[type[Work], Handler] = {
    CreateCase: create,
    ShowCase: show,
    ReadCase: read,
    AddNote: note,
    AddEntity: entity,
    LogTime: time,
    MergeCases: merge,
    ChangeCases: change,
    DecideEdits: decide,
}
