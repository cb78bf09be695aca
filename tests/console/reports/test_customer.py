"""What a customer's report says of sensors, in each language."""

import pytest

from console.reports.brand import Brand
from console.reports.customer import SECTIONS, Composer
from console.reports.words import LANGUAGES, words
from store import billingwork, ingest
from store.reports import periods
from store.reports.customer import customer
from tests.helpers.screens import oid_of

DAY = 86_400_000
MONTH = periods.month("2026-10")
OVER = MONTH.until + 3 * DAY
MINUS = "\N{MINUS SIGN}"
SAID = {
    "en": (f"10 on 1 Oct 2026, 9 on 31 Oct 2026 ({MINUS}1)", "9 on 20 Oct 2026, the only day", "is not known"),
    "de": (f"10 am 1. Okt. 2026, 9 am 31. Okt. 2026 ({MINUS}1)", "9 am 20. Okt. 2026, dem einzigen", "nicht bekannt"),
    "fr": (f"10 le 1 oct. 2026, 9 le 31 oct. 2026 ({MINUS}1)", "9 le 20 oct. 2026, seul jour", "On ignore"),
    "es": (f"10 el 1 oct 2026, 9 el 31 oct 2026 ({MINUS}1)", "9 el 20 oct 2026, el único día", "No se sabe"),
}  # fmt: skip
"""The change in a month, one known day, and nothing that is known."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_and_the_last_count_of_sensors_are_said_with_their_source(a_store, language):
    store, w = a_store("counts"), words(language)
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid_of(0), "name": "Acme", "region": "eu"}], complete=True, now=1
        )
        for day, sensors in ((-4, 10), (7, 12), (20, 9)):
            breakdown = {"linux": {"count": sensors, "weight": 1.0}}
            billingwork.put_quota(c, oid_of(0), 50, 9.0, breakdown, now=MONTH.since + (day - 1) * DAY)
        ingest.put_sync_state(c, oid_of(0), "organization", checked_at=OVER, attempted_at=OVER)

    def foot(period):
        with store.reader.reading() as c:
            made = Composer(customer(c, oid_of(0), period, now=OVER), Brand(language=language))
        return SECTIONS["sensors"](made)[0].foot

    change, alone, nothing = SAID[language]
    assert change in foot(MONTH)
    assert f"{w('source', name=w('source_quota'))} · {w.period(MONTH)} · " in foot(MONTH)
    assert w.note("held", {"read": 2, "of": 31}, "UTC") in foot(MONTH)
    assert alone in foot(periods.days("2026-10-20", "2026-10-20"))
    assert nothing in foot(periods.month("2026-08"))
    assert f"({w('counted_same')})" in foot(periods.days("2026-10-21", "2026-10-22"))
    assert "(+2)" in foot(periods.days("2026-09-25", "2026-10-08"))
