"""What several views show of the same: what it rests on, and when it is looked for again."""

import sqlite3

from screens.figures import RESTS_ON, looked
from store.queries.rollup import Rollup
from tests.helpers.drifting import KEY, ON, document, observed, rule, template
from tests.helpers.screens import NOW

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


def test_looks_rest_on_the_tables_that_they_read(filled_store):
    template(filled_store, content=document(first=(rule("a"), ON)))
    for number in range(3):
        observed(filled_store, number, {"first": (rule("b" if number == 0 else "a"), ON)})
    read: set[str] = set()

    def note(action, table, *_more):
        if action == sqlite3.SQLITE_READ:
            read.add(table)
        return sqlite3.SQLITE_OK

    with filled_store.reader.reading() as connection:
        driver = connection.connection.dbapi_connection
        driver.set_authorizer(note)
        try:
            assert looked(connection, Rollup(), key=KEY, now=NOW).drift["root"] == 1
        finally:
            driver.set_authorizer(None)
    assert read - TOLD_OTHERWISE == RESTS_ON
