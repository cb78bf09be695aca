"""What several views show of the same: what it rests on, and when it is looked for again."""

import sqlite3
import threading

import pytest

from screens import figures
from screens.figures import RESTS_ON, looked
from screens.organizations import Organizations
from screens.overview import Overview
from store import ingest
from store.queries.findings import findings
from store.queries.rollup import Rollup
from tests.helpers.drifting import DAY, KEY, ON, document, observed, rule, template
from tests.helpers.screens import NOW, Host, oid_of, text_of, until

MINUTE = 60_000


def line_of(host, word):
    return next(line for line in text_of(host).splitlines() if word in line)


TOLD_OTHERWISE = {
    # What is rolled up, which is brought up to date by itself.
    "organization_change", "detection", "detection_count", "snooze", "sensor", "organization_error",
    "case_record",
    # Of a version, which never changes.
    "template_file", "template_content",
    # What was compared already: written when nothing is otherwise.
    "wanted_state",
}  # fmt: skip
"""What a look reads though nothing that it finds can be otherwise by it alone."""


@pytest.fixture
def drifted(filled_store):
    """The store with one record that is not as it is wanted."""
    template(filled_store, content=document(first=(rule("a"), ON)))
    for number in range(3):
        observed(filled_store, number, {"first": (rule("b" if number == 0 else "a"), ON)})
    return filled_store


def test_looks_rest_on_the_tables_that_they_read(drifted):
    read: set[str] = set()

    def note(action, table, *_more):
        if action == sqlite3.SQLITE_READ:
            read.add(table)
        return sqlite3.SQLITE_OK

    with drifted.reader.reading() as connection:
        driver = connection.connection.dbapi_connection
        driver.set_authorizer(note)
        try:
            assert looked(connection, Rollup(), key=KEY, now=NOW).drift["root"] == 1
        finally:
            driver.set_authorizer(None)
    assert read - TOLD_OTHERWISE == RESTS_ON


def test_findings_are_as_many_as_the_list_of_them_has_in_every_scope(filled_store):
    oid = oid_of(0)
    with filled_store.writing() as c:
        entry = {
            "oid": oid, "time": NOW - 90 * DAY, "etype": "enrollment", "ident": "", "msg": "",
            "origin": "ui", "entity": {"type": "sensor"}, "mtd": {},
        }  # fmt: skip
        ingest.put_audit(c, oid, [entry])
        ingest.put_access(
            c, oid, {"user_permissions": {"kim@x.example": ["dr.set"], "o@x.example": ["user.ctrl"]}}, now=NOW
        )
        for subject in ("access", "keys", "audit"):
            ingest.put_sync_state(c, oid, subject, checked_at=NOW, attempted_at=NOW)
    with filled_store.reader.reading() as c:
        summed = Rollup()
        looks = looked(c, summed, key=KEY, now=NOW)
        listed = {
            row.id: findings(c, now=NOW, scope=row.id if row.parent_id else "").findings
            for row in summed.rows(c, now=NOW)
        }
    assert "unused" in {each.kind for each in listed["root"]}
    for node, those in listed.items():
        grave = sum(each.severity >= 3 for each in those)
        assert (looks.findings.get(node, 0), looks.grave.get(node, 0)) == (len(those), grave), node


@pytest.mark.parametrize("view", [Overview, Organizations])
async def test_ages_and_clocks_go_on_while_nothing_is_written(filled_store, monkeypatch, view):
    monkeypatch.setattr(figures, "AGES_EVERY", 0.05)
    host = Host(filled_store, view)
    async with host.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        assert " 42s" in text_of(host)
        host.now += 13 * MINUTE
        await until(pilot, lambda: " 13m" in text_of(host))
        assert " 42s" not in text_of(host)
        # Nobody has read the organizations for a quarter of an hour.
        host.now += 2 * MINUTE
        await until(pilot, lambda: "not read lately" in text_of(host))


async def test_what_was_looked_for_is_shown_by_whichever_view_is_shown_when_it_is_found(drifted, monkeypatch):
    found = threading.Event()

    def slowly(*given, **named):
        assert found.wait(20)
        return looked(*given, **named)

    monkeypatch.setattr(figures, "looked", slowly)
    host = Host(drifted, Overview)
    host.context.redaction_key = lambda: KEY
    async with host.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: figures.kept(host.context).looking)
        other = Organizations(host.context)
        await host.push_screen(other)
        await until(pilot, lambda: other.look == "full" and not other._reading)
        drift = line_of(host, "DRIFT").index("DRIFT") + len("DRIFT") - 1
        assert line_of(host, "Acme Dental")[drift] == "-"
        found.set()
        await until(pilot, lambda: line_of(host, "Acme Dental")[drift] == "1")
