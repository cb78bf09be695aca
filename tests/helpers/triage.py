"""A storm over all customers, for tests of what is decided about alerts."""

from typing import Any

from store import ingest
from store.database import Store
from tests.helpers.screens import CUSTOMERS, NOW, detection, oid_of

SCANNER = {
    "FILE_PATH": "C:\\Scanner\\scan.exe",
    "COMMAND_LINE": "C:\\Scanner\\scan.exe --quiet",
    "HASH": "ab" * 32,
    "USER_NAME": "ACME\\scanner",
}
"""What every member of the storm has, so that they fold."""


def storm(store: Store, members: int = 20, *, first: int = 10_000, now: int = NOW, odd: int = 0) -> None:
    """Add alerts that are the same at every customer, one a second, the newest five seconds old.

    Args:
        first: the number of the first, which chooses its id.
        odd: so many of them have another user.
    """
    put: dict[str, list[bytes]] = {}
    for number in range(members):
        oid = oid_of(number % len(CUSTOMERS))
        event = SCANNER | ({"USER_NAME": "ACME\\intruder"} if number < odd else {})
        raw = same(first + number, oid, at=now - 5_000 - number * 1_000, detect={"event": event})
        put.setdefault(oid, []).append(raw)
    with store.writing() as connection:
        for oid, raws in put.items():
            ingest.put_detections(
                connection, oid, [ingest.detection_from(raw, oid, received=now) for raw in raws]
            )


def same(number: int, oid: str, *, at: int, **changed: Any) -> bytes:
    """One of them."""
    values: dict[str, Any] = {
        "cat": "Scanner touched LSASS",
        "source_rule": "general.lsass-access",
        "detect_mtd": {"level": "high"},
    }
    return detection(number, oid, at=at, **(values | changed))
