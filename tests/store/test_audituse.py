"""What audit entries tell of who used what, in sum."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from store import ingest, models
from store.audituse import WHOLE, mark_of, rows_of
from store.database import Store

USE = models.AuditUse.__table__  # type: ignore[attr-defined]


def entry(time: int, actor: str, etype: str, **entity: str) -> dict[str, Any]:
    return {"oid": "o", "time": time, "etype": etype, "ident": actor, "entity": entity, "msg": "", "mtd": {}}


def spans(store: Store) -> dict[tuple[str, str], tuple[int, int]]:
    with store.reader.reading() as c:
        return {(row.actor, row.mark): (row.first, row.last) for row in c.execute(select(USE))}


@pytest.mark.parametrize(
    ("told", "mark"),
    [
        ({"etype": "send_task"}, "send_task"),
        ({"etype": "hive_set", "entity": {"type": "hive", "name": "dr-general/one"}}, "hive:dr-general"),
        ({"etype": "hive_del", "entity": {"type": "hive", "name": "lookup/a/b"}}, "hive:lookup"),
        ({"etype": "config_change", "entity": {"type": "dr_rule", "hive": "dr-managed"}}, "hive:dr-managed"),
        ({"etype": "config_change", "entity": {"type": "user", "name": "kim@acme.example"}}, "config_change"),
        ({"etype": None, "entity": ["odd"]}, ""),
        ({}, ""),
    ],
)
def test_an_entry_is_known_by_its_kind_and_a_hives_by_the_hive(told: dict[str, Any], mark: str) -> None:
    assert mark_of(told) == mark


def test_each_actor_has_the_first_and_the_last_of_each_kind_and_the_log_has_its_own(store: Store) -> None:
    start = 1_795_000_000_000
    with store.writing() as c:
        ingest.put_audit(c, "o", [entry(start + 5, "ada", "send_task"), entry(start + 9, "ben", "send_task")])
        ingest.put_audit(c, "o", [entry(start + 7, "ada", "send_task"), entry(start + 2, "", "enrollment")])
        ingest.put_audit(c, "o", [entry(start + 5, "ada", "send_task")])
    assert spans(store) == {
        (WHOLE, WHOLE): (start + 2, start + 9),
        ("ada", "send_task"): (start + 5, start + 7),
        ("ben", "send_task"): (start + 9, start + 9),
        ("", "enrollment"): (start + 2, start + 2),
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("", "ada", "ben")),
            st.integers(1, 50),
            st.sampled_from(({"etype": "send_task"}, {"etype": ""}, {"etype": "hive_set"})),
        ),
        max_size=30,
    )
)
def test_the_whole_log_spans_whatever_is_in_it(told: list[tuple[str, int, dict[str, str]]]) -> None:
    rows = {(row["actor"], row["mark"]): (row["first"], row["last"]) for row in rows_of("o", told)}
    times = [time for _, time, _ in told]
    assert rows.pop((WHOLE, WHOLE), None) == ((min(times), max(times)) if times else None)
    for (actor, mark), span in rows.items():
        mine = [time for who, time, details in told if who == actor and mark_of(details) == mark]
        assert span == (min(mine), max(mine))
