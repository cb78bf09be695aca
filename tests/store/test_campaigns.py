"""One incident over several customers, on both engines: who is in it, and that no text names another customer."""

import pytest

from store import campaigns
from store.alerts import AlertFilter
from store.campaigns import CampaignError
from store.database import Store
from store.queries import alerts
from tests.helpers.screens import CUSTOMERS, NOW, fill, oid_of


def ids(store: Store, count: int = 10, **wanted: str) -> list[int]:
    with store.reader.reading() as connection:
        return [row.id for row in alerts.page(connection, AlertFilter(**wanted), limit=count)]


def begin(store: Store, chosen: list[int], title: str = "Beacon") -> int:
    with store.writing() as connection:
        return campaigns.create(connection, title, chosen, by="mk", now=NOW)


def write(store: Store, number: int, text: str, oid: str = "") -> None:
    with store.writing() as connection:
        campaigns.note(connection, number, text, oid=oid, by="mk", now=NOW)


def test_its_customers_are_those_of_its_alerts(store: Store) -> None:
    fill(store)
    chosen = ids(store, 6, oid=oid_of(0)) + ids(store, 3, oid=oid_of(1)) + ids(store, 1, oid=oid_of(2))
    number = begin(store, chosen)
    with store.reader.reading() as connection:
        whole = campaigns.campaign(connection, number)
        listed = campaigns.campaigns(connection)
    assert whole is not None
    assert [(member.oid, member.alerts) for member in whole.members] == [
        (oid_of(0), 6), (oid_of(1), 3), (oid_of(2), 1),
    ]  # fmt: skip
    assert (listed[0].organizations, listed[0].alerts, listed[0].open) == (3, 10, 10)
    with store.writing() as connection:
        assert campaigns.add(connection, number, [*chosen, *ids(store, 2, oid=oid_of(3))]) == 2
    with store.reader.reading() as connection:
        assert campaigns.campaigns(connection)[0].organizations == 4
        assert campaigns.campaign(connection, number + 1) is None


def test_of_one_customer_it_is_a_case_and_without_a_title_nothing(store: Store) -> None:
    fill(store)
    with pytest.raises(CampaignError, match="one customer"):
        begin(store, ids(store, 6, oid=oid_of(0)))
    with pytest.raises(CampaignError, match="title"):
        begin(store, ids(store), title="  ")
    with pytest.raises(CampaignError, match="None of these"):
        begin(store, [10**6])
    with store.reader.reading() as connection:
        assert campaigns.campaigns(connection, closed=True) == []


@pytest.mark.parametrize(
    "text",
    [
        "As at Borealis Foods.", "borealis foods had it first", "see BOREALIS  FOODS' report", "like cedar-clinic",
        f"compare {oid_of(1)}", "Eglise Saint-Roch is next",
    ],
)  # fmt: skip
def test_a_text_for_one_customer_names_no_other(store: Store, text: str) -> None:
    fill(store)
    number = begin(store, ids(store, 20))
    with pytest.raises(CampaignError, match="names no other"):
        write(store, number, text, oid_of(0))
    write(store, number, text)
    with store.reader.reading() as connection:
        whole = campaigns.campaign(connection, number)
    assert whole is not None
    assert [note.oid for note in whole.notes] == [""]


def test_a_text_may_name_its_own_customer_and_is_kept_as_it_is(store: Store) -> None:
    fill(store)
    number = begin(store, ids(store, 20))
    for n, (name, _) in enumerate(CUSTOMERS):
        write(store, number, f"Dear {name}, \x1b[2J please isolate the host.", oid_of(n))
    with store.reader.reading() as connection:
        whole = campaigns.campaign(connection, number)
    assert whole is not None
    assert [str(note.organization) for note in whole.notes][::-1] == [name for name, _ in CUSTOMERS]
    assert "\x1b[2J" in whole.notes[0].text


def test_a_closed_one_takes_nothing_more(store: Store) -> None:
    fill(store)
    number = begin(store, ids(store, 20))
    with store.writing() as connection:
        campaigns.close(connection, number, "vendor", by="dana", now=NOW)
    for again in (
        lambda: write(store, number, "x"),
        lambda: write(store, number + 1, "x"),
    ):
        with pytest.raises(CampaignError):
            again()
    with store.writing() as connection, pytest.raises(CampaignError, match="closed"):
        campaigns.close(connection, number, "again", by="mk", now=NOW)
    with store.reader.reading() as connection:
        assert campaigns.campaigns(connection) == []
        assert campaigns.campaigns(connection, closed=True)[0].conclusion == "vendor"
