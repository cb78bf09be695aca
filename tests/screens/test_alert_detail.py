"""The pane of an alert: which lines it has, which of them it keeps where there is little room, and how it looks."""

import json
import threading
from dataclasses import replace

import pytest

from screens.alerts import Alerts
from screens.widgets.alert_detail import describe, lines_of, seen_briefly, seen_words
from store import ingest, triage
from store.alerts import WOKEN
from store.configuration import Record
from store.queries import alert_context
from store.queries.pivot import Prevalence
from store.text import Untrusted, cell_width
from store.triage import Decision, Selection, Snoozed
from tests.corpus.strings import everything
from tests.helpers.screens import NOW, Host, detection, oid_of, still, text_of, until

HOUR = 3_600_000
COMMAND = "powershell.exe -nop -w hidden -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAKQA="
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def event(number: int, at: int, **changed) -> bytes:
    """One more alert of the same host and hash as the others of this test."""
    raw = json.loads(detection(number * 6, oid_of(0), at=at))
    raw["routing"] |= {"sid": "7c1f9a2e-0b3c-4d5e-8f60-00000000ffff", "hostname": "acme-fs01"}
    raw["detect"]["event"] |= {"HASH": HASH, "COMMAND_LINE": COMMAND}
    raw["detect_id"] = f"aaaaaaaa-5b6a-4788-9990-{number:012d}"
    return json.dumps(raw | changed).encode()


@pytest.fixture
def rich_store(filled_store):
    """An alert of which everything is known: its rule, a verdict before, a case, a note, what its host did."""
    oid = oid_of(0)
    with filled_store.writing() as c:
        older = [event(900 + n, NOW - 5 * 24 * HOUR - n * HOUR) for n in range(2)]
        around = [
            event(950, NOW - 40 * 60_000, cat="Scanner touched LSASS", source_rule="general.lsass-access"),
            event(951, NOW - 4 * 60_000, cat="New local administrator", source_rule="general.new-admin"),
        ]
        ingest.put_detections(
            c, oid, [ingest.detection_from(raw, oid) for raw in (*older, *around, event(999, NOW - 30_000))]
        )
        rule = Record({"detect": {}}, {"enabled": True}, "e", "dana@mssp.example", NOW - 4 * 24 * HOUR)
        ingest.put_configuration(
            c, oid, "hive/dr-general", {"encoded-powershell-download": rule, "lsass-access": rule}, NOW - HOUR
        )
        ingest.put_sync_state(c, oid, "configuration", checked_at=NOW - HOUR)
        ingest.put_cases(
            c,
            [
                {
                    "oid": oid, "case_number": 4417, "status": "in_progress", "assignees": ["mk"],
                    "summary": "PowerShell from mail",
                }
            ],
            oids=[oid],
            now=NOW,
        )  # fmt: skip
        ingest.put_case_links(c, oid, 4417, [{"detect_id": "aaaaaaaa-5b6a-4788-9990-000000000999"}])
    ids = {number: id_of(filled_store, number) for number in (900, 901, 999)}
    decide(filled_store, Decision("close", "mk", "backup vendor", classification=2), ids[900], ids[901])
    decide(filled_store, Decision("note", "lee", "asked Dr. Roth whether the backup runs now"), ids[999])
    return filled_store


def id_of(store, number: int) -> int:
    from store.queries.alerts import by_detect_id

    with store.reader.reading() as c:
        return by_detect_id(c, f"aaaaaaaa-5b6a-4788-9990-{number:012d}")[0].row.id


def decide(store, decision: Decision, *ids: int) -> None:
    with store.writing() as c:
        action = triage.begin(c, decision, Selection(ids), now=NOW - 2 * HOUR)
        while triage.proceed(c, action, actor="mk@here", now=NOW - 2 * HOUR):
            pass


def found_in(store, number: int = 999):
    with store.reader.reading() as c:
        return alert_context.whole(c, id_of(store, number))


@pytest.fixture
def context(filled_store):
    return Host(filled_store, Alerts).context


def labels(lines) -> list[str]:
    return [
        label for line in lines if (label := line.content.plain[:9].strip()) and line.content.plain[:1] != " "
    ]


def test_the_order_is_the_event_then_rule_verdicts_state_case_notes_host(rich_store, context):
    found = found_in(rich_store)
    shown = labels(lines_of(found.detail, context, 120, found.around))
    wanted = [
        "org", "command", "file", "parent", "user", "host", "hash", "why", "rule", "seen", "fold", "state", "case",
        "note", "around", "reported", "id", "web", "json",
    ]  # fmt: skip
    assert [label for label in shown if label in wanted] == wanted


def test_at_80_by_24_what_matters_most_is_there(rich_store, context):
    found = found_in(rich_store)
    shown = describe(found.detail, context, 78, 11, found.around).plain.splitlines()
    assert len(shown) == 11
    assert shown[0].startswith("!! CRIT Encoded PowerShell download   Acme Dental")
    assert shown[-1].endswith("more lines: ^E, everything as JSON: J")
    assert labels_of(shown) == [
        "command", "parent", "user", "rule", "seen", "fold", "state", "case", "note",
    ]  # fmt: skip
    text = "\n".join(shown)
    assert "outlook.exe (4024)" in text
    assert "ACME\\svc-backup on acme-fs01 (windows)  10.8.4.244  203.0.113.25" in text
    assert "hash 9f86d081~ only here, last false positive 2h ago, first 5d ago" in text
    assert "general.encoded-powershell-download  by dana@mssp.example 2026-11-20" in text
    assert "2 false positive, last by mk 2h ago; 1 open of 3 alike here" in text
    assert "#4417 in progress (mk)  PowerShell from mail" in text
    assert "lee 2h ago: asked Dr. Roth" in text


def labels_of(lines: list[str]) -> list[str]:
    return [line[:9].strip() for line in lines[1:-1]]


def test_the_pages_hold_every_line_once_and_come_round(rich_store, context):
    found = found_in(rich_store)
    whole = [line.content.plain for line in lines_of(found.detail, context, 78, found.around)]
    seen: list[str] = []
    page = 1
    while len(seen) < len(whole):
        lines = describe(found.detail, context, 78, 11, found.around, page).plain.splitlines()
        assert f"of {len(whole)}: ^E" in lines[-1]
        seen += lines[:-1]
        page += 1
    assert seen == whole
    assert describe(found.detail, context, 78, 11, found.around, page) == describe(
        found.detail, context, 78, 11, found.around
    )
    last = describe(found.detail, context, 78, 11, found.around, -1).plain.splitlines()
    assert last[:-1] == whole[-len(last) + 1 :]


def test_what_fits_has_no_note_about_more(rich_store, context):
    found = found_in(rich_store)
    assert "^E" not in describe(found.detail, context, 78, 100, found.around).plain


def changed(found, **values):
    return replace(found, around=replace(found.around, **values))


def text_at(found, context, width=78, height=11, **row) -> str:
    detail = replace(found.detail, row=replace(found.detail.row, **row)) if row else found.detail
    return describe(detail, context, width, height, found.around).plain


def test_a_rule_that_is_gone_disabled_or_never_read_is_said(rich_store, context):
    found = found_in(rich_store)
    for state, said in (
        ("missing", "rule     GONE here since 2026-11-20  general.encoded"),
        ("disabled", "rule     DISABLED now  general.encoded"),
        ("unknown", "general.encoded-powershell-download  (configuration not read yet)"),
    ):
        origin = replace(found.around.origin, state=state)
        assert said in text_at(changed(found, origin=origin), context)
    bare = replace(found.around.origin, state="unknown", namespace="")
    assert "rule     encoded-powershell-download  (in no hive that was read)" in text_at(
        changed(found, origin=bare), context
    )


def test_where_else_a_value_was_seen_is_said_in_few_words():
    where = Prevalence(3, 216, 9, NOW - 30_000, NOW, 2, NOW - HOUR, Untrusted("mk"), 1)
    assert seen_words(where, NOW) == (
        "at 3 of 216 organizations, last false positive by mk 1h ago, first 30s ago"
    )
    alone = replace(where, k=1, last_verdict=0)
    assert seen_words(alone, NOW) == "only here, first 30s ago"
    assert seen_words(replace(alone, alerts=1), NOW) == "nowhere else"
    assert seen_words(replace(alone, k=0, alerts=0, first=None), NOW) == "at none of 216 organizations"
    nobody = replace(where, last_verdict_by=Untrusted(""), last_verdict_at=None)
    assert seen_words(nobody, NOW).endswith("last false positive, first 30s ago")
    for each, said in (
        (where, "3 of 216 orgs, false positive 1h"),
        (nobody, "3 of 216 orgs, false positive"),
        (replace(where, k=132, last_verdict=1), "132 of 216 orgs, true positive 1h"),
        (replace(where, last_verdict=0), "3 of 216 orgs, first 30s ago"),
        (alone, "only here, first 30s ago"),
        (replace(alone, alerts=1, last_verdict=2), "nowhere else, false positive 1h"),
        (replace(alone, k=0, alerts=0, first=None), "none of 216 orgs"),
    ):
        assert seen_briefly(each, NOW) == said
        assert len(said) <= 35


LONG = "Big Sky Grid Services and Transmission S.A."


def test_the_organization_stands_whole_in_the_title_whatever_the_rule_is_called(rich_store, context):
    found = found_in(rich_store)
    rule = "Encoded PowerShell download cradle started by an office application"
    lines = text_at(found, context, organization=Untrusted(LONG), cat=Untrusted(rule)).splitlines()
    assert lines[0].startswith("!! CRIT Encoded PowerShell ")
    assert lines[0].endswith(f"~   {LONG}")
    assert len(lines[0]) == 78
    assert lines[1] == f"alert    {rule}"
    short = text_at(found, context, organization=Untrusted(LONG), cat=Untrusted("Odd")).splitlines()
    assert short[0] == f"!! CRIT Odd   {LONG}"
    assert not short[1].startswith("alert")
    hostile = text_at(found, context, organization=Untrusted("A" * 300)).splitlines()
    assert len(hostile[0]) == 78
    assert hostile[0].endswith("A~")


def test_a_line_whose_rest_has_no_room_is_cut_with_a_sign(rich_store, context):
    found = found_in(rich_store)
    first = next(
        line
        for line in describe(found.detail, context, 78, 11, found.around).plain.splitlines()
        if line.startswith("command")
    )
    assert first.endswith("~")
    assert "~" not in text_at(found, context, 78, 100).splitlines()[1]


def test_verdicts_of_both_kinds_and_of_elsewhere_are_told(rich_store, context):
    found = found_in(rich_store)
    fold = replace(
        found.around.fold, true_positives=1, last_verdict=1, elsewhere=2, elsewhere_at=NOW - HOUR,
        elsewhere_by=Untrusted("lee"), organizations=61,
    )  # fmt: skip
    shown = " ".join(text_at(changed(found, fold=fold), context, 200, 100).split())
    assert (
        "2 false positive, 1 true positive, last true positive by mk 2h ago; "
        "elsewhere false positive by lee 1h ago; 1 open of 3 alike here; open in 61 organizations"
    ) in shown
    new = replace(fold, true_positives=0, false_positives=0, last_verdict=0)
    # Where all else is cut the verdict is what stands.
    assert "fold     elsewhere false positive by lee 1h ago; never decided here" in text_at(
        changed(found, fold=new), context
    )
    none = replace(fold, true_positives=0, false_positives=0, last_verdict=0, elsewhere=0, organizations=1)
    assert "never decided before; 1 open of 3 alike here" in text_at(changed(found, fold=none), context)


def test_why_it_is_back_stands_right_below_the_title(rich_store, context):
    back = Snoozed(
        1, None, 9, "", Untrusted("vendor asked"), Untrusted("mk"), NOW - HOUR, NOW - 60_000,
        Untrusted("9 more came"),
    )  # fmt: skip
    lines = text_at(changed(found_in(rich_store), snooze=back), context, rank=WOKEN).splitlines()
    assert lines[1] == "back     from a snooze 1m ago: 9 more came; was snoozed by mk 1h ago: vendor"
    assert lines[2] == "         asked"


def test_what_is_hidden_says_until_when(rich_store, context):
    hidden = Snoozed(
        1,
        NOW + HOUR,
        9,
        "online",
        Untrusted("vendor asked"),
        Untrusted("mk"),
        NOW - HOUR,
        None,
        Untrusted(""),
    )
    shown = text_at(changed(found_in(rich_store), snooze=hidden), context, height=100)
    assert "until 2026-11-24 15:00 UTC or until its fold has had 9 in all" in shown
    assert "its sensor is online" in shown


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"status": 0, "due_at": NOW + 14 * 60_000}, "new, unclaimed; acknowledge within 0:14 (until 2026-11-24 14:14 UTC)"),
        ({"status": 0, "due_at": NOW - 11 * 60_000}, "new, unclaimed; acknowledge 0:11 late"),
        ({"status": 1, "assignee": Untrusted("mk"), "due_at": NOW + 4 * HOUR}, "in progress, mk; resolve within 4:00"),
        ({"status": 3, "classification": 2, "assignee": Untrusted("mk"), "due_at": None}, "closed, false positive, mk"),
        (
            {"status": 3, "classification": 1, "tags": Untrusted("x benign"), "due_at": None},
            "closed, true positive (benign)",
        ),
    ],
)  # fmt: skip
def test_state_holder_and_clock_are_one_line(rich_store, context, row, said):
    assert f"state    {said}" in text_at(found_in(rich_store), context, 100, 100, **row)


def test_the_link_to_the_web_console_is_text_and_only_its_own(rich_store, context):
    found = found_in(rich_store)
    row = found.detail.row
    own = f"https://app.limacharlie.io/orgs/{row.oid}/sensors/{row.sid}/timeline?time={row.time // 1000}"
    assert f"web      {own}" in text_at(found, context, 200, 100)
    for link in ("https://evil.test/app.limacharlie.io/", "javascript:x", "", 5, None):
        raw = json.loads(found.detail.body) | {"link": link}
        other = replace(found, detail=replace(found.detail, body=json.dumps(raw).encode()))
        assert f"web      {own}" in text_at(other, context, 200, 100)
    theirs = "https://app.limacharlie.io/orgs/x/sensors/y/timeline?time=1"
    raw = json.loads(found.detail.body) | {"link": theirs}
    other = replace(found, detail=replace(found.detail, body=json.dumps(raw).encode()))
    assert f"web      {theirs}" in text_at(other, context, 200, 100)


def test_without_what_is_around_it_the_event_alone_is_told(rich_store, context):
    found = found_in(rich_store)
    shown = describe(found.detail, context, 78, 11).plain
    assert "rule     general.encoded-powershell-download" in shown
    assert "fold" not in shown


@pytest.mark.parametrize(("width", "height"), [(78, 11), (54, 36), (140, 60), (12, 3), (1, 1)])
def test_nothing_of_a_stranger_is_more_than_text_of_one_line(rich_store, context, width, height):
    found = found_in(rich_store)
    for text in everything():
        body = json.dumps({
            "cat": text, "routing": {"hostname": text, "ext_ip": text}, "link": text, "author": text,
            "detect": {"event": {"COMMAND_LINE": text, "USER_NAME": text, text: text, "DEEP": {text: [text]}}},
            "detect_mtd": {"description": text, "references": [text]}, "rule_tags": [text],
        }).encode()  # fmt: skip
        row = replace(found.detail.row, cat=Untrusted(text), assignee=Untrusted(text), tags=Untrusted(text))
        origin = replace(found.around.origin, name=Untrusted(text), changed_by=Untrusted(text))
        fold = replace(found.around.fold, last_verdict_by=Untrusted(text))
        neighbours = tuple(replace(each, cat=Untrusted(text)) for each in found.around.neighbours)
        cases = tuple(replace(each, summary=Untrusted(text)) for each in found.around.cases)
        decisions = tuple(replace(each, comment=Untrusted(text)) for each in found.around.decisions)
        around = replace(
            found.around, origin=origin, fold=fold, neighbours=neighbours, cases=cases, decisions=decisions
        )
        detail = replace(found.detail, row=row, body=body, path=Untrusted(text))
        shown = describe(detail, context, width, height, around)
        lines = shown.plain.split("\n")
        assert len(lines) <= height
        assert all(line.isprintable() for line in lines)
        if width >= 54:
            assert max(map(cell_width, lines)) <= width


# -- on the screen ------------------------------------------------------------------------------------------


def opened(*keys: str, shows: str = "note "):
    async def ready(pilot):
        host = pilot.app
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: shows in text_of(host))
        await pilot.press(*keys)
        await still(pilot)

    return ready


async def test_control_e_and_y_turn_the_pages_of_the_pane(rich_store):
    host = Host(rich_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened()(pilot)
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "lines 1 to 10 of" in text_of(host))
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "lines 11 to 20 of" in text_of(host))
        await pilot.press("ctrl+y", "ctrl+y")
        await until(pilot, lambda: "more lines: ^E" in text_of(host))
        await pilot.press("ctrl+e", "j")
        await until(pilot, lambda: "more lines: ^E" in text_of(host))


async def test_an_answer_that_comes_late_does_not_overwrite_a_newer_one(rich_store, monkeypatch):
    first, released = id_of(rich_store, 999), threading.Event()
    asked, answered = [], []
    read = alert_context.whole

    def slowly(connection, number, now):
        asked.append(number)
        if number == first:
            released.wait(20)
        found = read(connection, number, now)
        answered.append(number)
        return found

    monkeypatch.setattr(alert_context, "whole", slowly)
    host = Host(rich_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: asked == [first])
        await pilot.press("j")
        await until(pilot, lambda: "host-00 (windows)" in text_of(host))
        released.set()
        await until(pilot, lambda: first in answered)
        await still(pilot)
        assert "host-00 (windows)" in text_of(host)
        assert "acme-fs01 (windows)" not in text_of(host)


def test_picture_at_80_by_24(snap_compare, rich_store):
    """Below the queue: the command in bold, parent, user, host, rule, verdicts, state, case, note, more."""
    assert snap_compare(Host(rich_store, Alerts), terminal_size=(80, 24), run_before=opened())


def test_picture_at_160_by_48(snap_compare, rich_store):
    """Beside the queue, in the same order, with what the host did and the address in the web console."""
    assert snap_compare(Host(rich_store, Alerts), terminal_size=(160, 48), run_before=opened())


def test_picture_of_a_later_page(snap_compare, rich_store):
    """Lines 11 to 20, and what ^E does."""
    ready = opened("ctrl+e", "ctrl+e")
    assert snap_compare(Host(rich_store, Alerts), terminal_size=(80, 24), run_before=ready)


def test_picture_without_colour(snap_compare, rich_store, monkeypatch):
    """The same words without any colour."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Host(rich_store, Alerts), terminal_size=(80, 24), run_before=opened())
