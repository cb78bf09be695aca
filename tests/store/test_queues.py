"""Saved queues: what is new in each since somebody looked, on both engines."""

import pytest

from store import ingest, queues
from store.alerts import FilterError
from store.database import Store
from store.queues import QueueError
from tests.helpers.screens import NOW, detection, fill, oid_of


def put(store: Store, numbers: range, oid: str) -> None:
    with store.writing() as connection:
        raws = [detection(n, oid, at=NOW - n) for n in numbers]
        ingest.put_detections(
            connection, oid, [ingest.detection_from(raw, oid, received=NOW) for raw in raws]
        )


def unread(store: Store, who: str, scope: str = "") -> dict[str, str]:
    with store.reader.reading() as connection:
        return {
            str(each.name): each.wrong or each.count
            for each in queues.queues(connection, who, scope=scope, now=NOW)
        }


def save(store: Store, name: str, line: str, **more: str) -> bool:
    with store.writing() as connection:
        return queues.save(connection, name, line, by="mk", now=NOW, **more)


def look(store: Store, name: str, who: str) -> None:
    with store.writing() as connection:
        assert queues.look(connection, name, who, now=NOW) is not None


def test_unread_is_what_came_since_this_operator_looked(store: Store) -> None:
    fill(store)
    for name, line in (
        ("critical", "sev:critical"),
        ("any", "status:any"),
        ("words", "powershell host:host-0"),
    ):
        assert save(store, name, line)
        look(store, name, "mk")
    assert unread(store, "mk") == {"any": "0", "critical": "0", "words": "0"}
    put(store, range(1000, 1012), oid_of(0))
    # Nine of the twelve are on host-00 to host-08.
    assert unread(store, "mk") == {"any": "12", "critical": "2", "words": "9"}
    assert unread(store, "kim")["any"] == "72"
    look(store, "any", "mk")
    assert unread(store, "mk")["any"] == "0"


def test_a_queue_follows_the_scope_unless_it_has_one_of_its_own(store: Store) -> None:
    fill(store)
    save(store, "here", "status:any")
    save(store, "gold", "status:any", scope="gold")
    assert unread(store, "mk") == {"gold": "24", "here": "60"}
    assert unread(store, "mk", scope="silver") == {"gold": "24", "here": "36"}
    look(store, "here", "mk")
    look(store, "gold", "mk")
    put(store, range(1000, 1010), oid_of(0))
    put(store, range(2000, 2003), oid_of(3))
    assert unread(store, "mk") == {"gold": "10", "here": "13"}
    assert unread(store, "mk", scope="silver")["here"] == "3"


def test_counting_stops_where_nobody_reads_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "UNREAD", 20)
    monkeypatch.setattr(queues, "LOOKED_THROUGH", 30)
    fill(store, detections=60)
    save(store, "any", "")
    save(store, "rare", "cat:nothing")
    assert unread(store, "mk")["any"] == "20+"
    look(store, "any", "mk")
    look(store, "rare", "mk")
    put(store, range(1000, 1040), oid_of(0))
    assert unread(store, "mk") == {"any": "20+", "rare": "0+"}


def test_a_name_is_one_word_a_line_means_something_and_another_one_replaces_it(store: Store) -> None:
    for name in ("", "two words", "-x", "x" * 41, "a\nb", "\u202ex"):
        with pytest.raises(QueueError, match="one word"):
            save(store, name, "")
    with pytest.raises(FilterError):
        save(store, "x", "sev:huge")
    assert save(store, "x", "sev:high")
    assert not save(store, "x", "sev:low")
    with store.reader.reading() as connection:
        assert [str(each.line) for each in queues.queues(connection, "mk", now=NOW)] == ["sev:low"]
    with store.writing() as connection:
        assert queues.remove(connection, "x")
        assert not queues.remove(connection, "x")
        assert queues.look(connection, "x", "mk", now=NOW) is None


def test_a_line_that_means_nothing_any_more_is_shown_with_the_reason(store: Store) -> None:
    from sqlalchemy import update

    from store.models import SavedQueue

    save(store, "x", "sev:high")
    with store.writing() as connection:
        connection.execute(update(SavedQueue).values(line="gone:1"))
    assert "is not a column" in unread(store, "mk")["x"]
