"""What is known in part, or not at all, is said to be so wherever a report says it; in each language."""

import json
import re
from types import SimpleNamespace

import pytest

from console.reports.brand import Brand
from console.reports.customer import compose
from console.reports.document import Paragraph, Table, Tiles
from console.reports.provider import executive, levels
from console.reports.words import LANGUAGES, words
from store import ingest
from store.reports.customer import customer
from store.reports.figures import Source
from store.reports.provider import provider
from tests.helpers.screens import oid_of
from tests.store.reports.test_figures import MONTH, NOW, filled

DAY = 86_400_000
NUMBER = re.compile(r"\d")
PART, UNKNOWN = (Source("detections", MONTH, NOW, state) for state in ("part", "unknown"))


def know(store, number, *, until=NOW, cases=None):
    """Of an organization the alerts until then, and its cases as they were read then."""
    with store.writing() as c:
        ingest.put_sync_state(
            c, oid_of(number), "detections", checked_at=NOW, attempted_at=NOW, mark=until,
            cursor=json.dumps({"start": 1, "end": until // 1000, "pending": []}),
        )  # fmt: skip
        if cases is not None:
            ingest.put_sync_state(c, oid_of(number), "cases", checked_at=cases, attempted_at=cases)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two customers of whom ten days and some cases of the month are known, and one of whom nothing is."""
    from store.database import Store

    made = Store(f"sqlite:///{tmp_path_factory.mktemp('partial') / 'store.db'}")
    filled(made)
    for number in range(2):
        know(made, number, until=MONTH.since + 10 * DAY, cases=MONTH.since + 10 * DAY)
    rows = [
        {
            "oid": oid_of(0), "case_number": number, "case_id": f"c{number}", "severity": "high", "summary": "x",
            "status": "resolved", "classification": "true_positive", "created_at": "2026-10-03T10:00:00Z",
            "acknowledged_at": "2026-10-03T10:05:00Z", "resolved_at": "2026-10-03T12:00:00Z",
        }
        for number in range(1, 4)
    ]  # fmt: skip
    with made.writing() as c:
        ingest.put_cases(c, rows=rows, oids=[oid_of(0)], complete=True, now=NOW)
    yield made
    made.close()


def of_customer(store, number, language="en"):
    with store.reader.reading() as c:
        return compose(customer(c, oid_of(number), MONTH, now=NOW), Brand(language=language))


def of_all(store, kind, language="en"):
    with store.reader.reading() as c:
        return kind(provider(c, MONTH, now=NOW), Brand(language=language))


def blocks(document, *sections):
    return [block for section in document.sections if section.key in sections for block in section.blocks]


def numbers(document, *sections):
    """(where, text) of each figure of tiles and of right-aligned cells."""
    for block in blocks(document, *sections):
        if isinstance(block, Tiles):
            for tile in block.items:
                yield from ((tile.label, tile.value), (tile.label, tile.detail))
        elif isinstance(block, Table):
            for row in block.rows:
                yield from (
                    (f"{row[0].text}: {column.title}", cell.text)
                    for cell, column in zip(row, block.columns, strict=True)
                    if column.align == "right"
                )


def marked(language):
    w = words(language)
    return [w(key, value="", percent="").strip() for key in ("at_least", "in_part", "share_known")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_figure_of_alerts_known_in_part_says_so(store, language):
    w = words(language)
    plain = {w("target"), w("tile_sensors"), w("customers_tile"), w("sensors")}
    for document in (
        of_customer(store, 0, language),
        of_all(store, executive, language),
        of_all(store, levels, language),
    ):
        seen = 0
        for where, text in numbers(
            document, "summary", "alerts", "response", "customers", "levels", "by_customer"
        ):
            if NUMBER.search(text) and where.rpartition(": ")[2] not in plain:
                assert any(mark in text for mark in marked(language)), (where, text)
                seen += 1
        assert seen > 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_alerts_that_are_not_known_no_figure_is_said(store, language):
    w = words(language)
    for where, text in numbers(of_customer(store, 2, language), "summary", "alerts", "response", "cases"):
        if where.rpartition(": ")[2] not in (w("tile_sensors"), w("target")):
            assert not NUMBER.search(text.replace("2026", "")), (where, text)
    empties = {block.empty for block in blocks(of_customer(store, 2, language), "response")}
    assert empties == {w("not_known")}


def test_of_what_is_known_in_part_it_is_not_said_that_there_is_no_more(store):
    (lead, *_) = blocks(of_customer(store, 0), "summary")
    assert re.search(
        r"^≥\xa0\d+ alerts in October 2026, of which ≥\xa0\d+ high or critical\. ≥\xa0", lead.text
    )
    with store.reader.reading() as c:
        found = customer(c, oid_of(0), MONTH, now=NOW)
    nobody = SimpleNamespace(
        **{name: getattr(found.alerts, name) for name in found.alerts.__dataclass_fields__}
        | {"severities": (), "rules": (), "hosts": ()}
    )
    empty = SimpleNamespace(
        **{name: getattr(found, name) for name in found.__dataclass_fields__}
        | {"alerts": nobody, "response": SimpleNamespace(**{name: getattr(found.response, name) for name in found.response.__dataclass_fields__} | {"lines": ()}),
           "all_sources": found.all_sources}
    )  # fmt: skip
    document = compose(empty, Brand())
    (lead, *_) = blocks(document, "summary")
    assert "None of those that are known was confirmed as a true positive." in lead.text
    assert {block.empty for block in blocks(document, "alerts", "response") if isinstance(block, Table) and not block.rows} == {
        "No alerts are known."
    }  # fmt: skip


def test_the_share_of_grave_alerts_is_of_those_that_are_known(store):
    tiles = blocks(of_customer(store, 0), "summary")[1]
    (share,) = [tile.detail for tile in tiles.items if tile.label == "High and critical"]
    assert re.fullmatch(r"\d+(\.\d)?\xa0% of those that are known", share)


def test_cases_known_in_part_have_medians_of_a_part_and_none_that_was_opened_is_none_that_is_known(store):
    paragraph, table = blocks(of_customer(store, 0), "cases")
    assert paragraph.text.startswith("≥\xa03 opened, ≥\xa03 resolved or closed, ≥\xa00 open.")
    assert paragraph.text.endswith("Median time to acknowledge 5 min (part), to resolve 2 h (part).")
    assert len(table.rows) == 3
    _, table = blocks(of_customer(store, 1), "cases")
    assert table.empty == "No opened case is known."
    assert blocks(of_customer(store, 2), "cases") == [
        Paragraph("The cases of October 2026 are not known.", "bad")
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plural_of_what_was_never_read_is_no_number(language):
    w = words(language)
    assert not NUMBER.search(w.plural("false_beside", 0, UNKNOWN))
    assert w.plural("false_beside", 1, PART) == w("false_beside", n=w("at_least", value="1"))
    assert w.plural("false_beside", 1) == w("false_beside_one", n="1")


def test_a_report_over_all_lacks_what_it_sums_up_in_part_though_all_alerts_are_known(store):
    for number in range(3):
        know(store, number)
    try:
        document = of_all(store, executive)
        assert [each for each in document.warnings if each.startswith("LimaCharlie")] == [
            "LimaCharlie Cases: 0 of 3 organizations.",
            "LimaCharlie sensors: 0 of 3 organizations.",
            "LimaCharlie organization record: 0 of 3 organizations.",
        ]
        (said,) = blocks(document, "missing")
        assert said.text == " ".join(document.warnings)
        # Of service levels all is known.
        kept = of_all(store, levels)
        assert kept.warnings == ()
        (said,) = blocks(kept, "missing")
        assert said.text == "Nothing: every customer is in every figure."
    finally:
        for number in range(2):
            know(store, number, until=MONTH.since + 10 * DAY)
        with store.writing() as c:
            from store import models

            table = models.SyncState.__table__
            c.execute(table.delete().where(table.c.oid == oid_of(2), table.c.subject == "detections"))
