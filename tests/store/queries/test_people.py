"""Whose name is known, and what is said of one that is not."""

from store import ingest, journal, triage
from store.queries.people import people
from store.triage import Decision, Selection
from tests.helpers.screens import NOW, fill, oid_of


def test_people_of_access_and_those_who_decided_are_known_by_name_and_by_address(store):
    fill(store, detections=2)
    with store.writing() as connection:
        granted = {"user_permissions": {"Dana.Roth@provider.example": ["org.get"]}}
        ingest.put_access(connection, oid_of(0), granted, now=NOW)
        action = triage.begin(connection, Decision("claim", "mk"), Selection((1,)), now=NOW)
        triage.proceed(connection, action, actor="night@console-2", now=NOW)
        journal.append(connection, "lee@console-3", "tree.import", now=NOW)
    with store.reader.reading() as connection:
        known = people(connection, also=["kim"])
    for name in ("dana.roth@provider.example", "Dana.Roth", " dana.roth ", "mk", "night", "lee", "kim"):
        assert name in known
        assert known.doubt(name) == ""
    assert known.doubt("") == ""
    assert known.doubt("zzz😀") == "Nobody of that name is known here: zzz😀."
    assert known.doubt("dana.rot") == "Nobody of that name is known here: dana.rot; is dana.roth meant?"
