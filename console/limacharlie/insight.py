"""What is kept of the past: detections, events, the audit log."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from console.limacharlie import answers
from console.limacharlie.answers import DetectionPage, Page
from console.limacharlie.errors import Invalid
from console.limacharlie.handle import Part, aside, encoded, flag, uuid

DETECTIONS_PAGE = 1_000
AUDIT_PAGE = 1_000
EVENTS_PAGE = 1_000

_ATOM = re.compile(r"[0-9a-fA-F]{8,64}", re.ASCII)


class Insight(Part):
    """The detections, events and audit log of an organization."""

    async def detections(
        self, start: int, end: int, cursor: str = "-", limit: int = DETECTIONS_PAGE, cat: str | None = None
    ) -> DetectionPage:
        """One page of detections (`GET insight/{oid}/detections`), in no promised order.

        Args:
            start, end: seconds since 1970, UTC.
            cursor: `-` for the first page, then `next_cursor` of the page before.
            limit: records of the page.
            cat: exactly this category only.

        Returns:
            The records byte for byte; one that no JSON reader takes is among them. `next_cursor` is
            "" on the last page. A page may be empty and not the last.

        Raises:
            Invalid: the cursor has expired.
        """
        query = {"start": str(int(start)), "end": str(int(end)), "cursor": cursor, "limit": str(int(limit))}
        if cat is not None:
            query["cat"] = cat
        query["is_compressed"] = "true"
        answer = await self._get("insight/{oid}/detections", query)
        return await aside(answers.decode_page, answer)

    async def detection(self, detect_id: str) -> bytes:
        """One detection, byte for byte (`GET insight/{oid}/detections/{detect_id}`).

        Raises:
            Gone: there is none with this id.
        """
        answer = await self._get("insight/{oid}/detections/{detect_id}", detect_id=detect_id)
        return answers.one_detection(answer.body, detect_id, answer.what, answer.secrets)

    async def audit(self, start: int, end: int, cursor: str = "-", limit: int = AUDIT_PAGE) -> Page:
        """One page of the audit log (`GET insight/{oid}/audit`); arguments as of `detections`.

        Returns:
            Entries as received: oid, ts, time, etype, msg, ident, entity, mtd, origin.
        """
        query = {"start": str(int(start)), "end": str(int(end)), "cursor": cursor, "limit": str(int(limit))}
        answer = await self._get("insight/{oid}/audit", query | {"is_compressed": "true"})
        page = await aside(
            lambda body, what: answers.records_page(answers.decode(body, what), "events", what), answer
        )
        for row in page.records:
            answers.own_organization(row, self.oid, answer.what)
        return page

    async def events(
        self,
        sid: str,
        start: int,
        end: int,
        cursor: str = "-",
        limit: int = EVENTS_PAGE,
        event_type: str = "",
    ) -> Page:
        """One page of a sensor's events (`GET insight/{oid}/{sid}`), oldest first; billed where they are old.

        Args:
            start, end: seconds since 1970, UTC.
            cursor: `-` for the first page, then `next_cursor` of the page before.
            limit: events of the page.
            event_type: only this, such as `NEW_PROCESS`.

        Returns:
            Events as received: {routing, event, ts}.

        Raises:
            Gone: there is no such sensor.
        """
        query = {"start": str(int(start)), "end": str(int(end)), "cursor": cursor, "limit": str(int(limit))}
        if event_type:
            query["event_type"] = event_type
        query |= {"is_forward": "true", "is_compressed": "true"}
        answer = await self._get("insight/{oid}/{sid}", query, sid=uuid(sid, "sensor"))
        return await aside(_events, answer)

    async def events_overview(self, sid: str, start: int, end: int) -> list[Any]:
        """When a sensor brought events (`GET insight/{oid}/{sid}/overview`), as received; below 30 days.

        Args:
            start, end: seconds since 1970, UTC.
        """
        query = {"start": str(int(start)), "end": str(int(end))}
        answer = await self._get("insight/{oid}/{sid}/overview", query, sid=uuid(sid, "sensor"))
        held = answers.member(answer.json(), "overview", answer.what)
        return answers.sequence(held, answer.what, "overview")

    async def event(self, sid: str, atom: str) -> dict[str, Any]:
        """One event by its atom (`GET insight/{oid}/{sid}/{atom}`), as received.

        Args:
            atom: `routing/this`.

        Raises:
            Gone: there is none.
        """
        answer = await self._get("insight/{oid}/{sid}/{atom}", sid=uuid(sid, "sensor"), atom=_atom(atom))
        return answers.filled(answers.member(answer.json(), "event", answer.what), answer.what, "event")

    async def event_children(self, sid: str, atom: str) -> list[dict[str, Any]]:
        """What came of an event (`GET insight/{oid}/{sid}/{atom}/children`), as received."""
        answer = await self._get(
            "insight/{oid}/{sid}/{atom}/children",
            {"is_compressed": "true"},
            sid=uuid(sid, "sensor"),
            atom=_atom(atom),
        )
        return (await aside(_events, answer)).records

    async def object_seen(
        self, object_type: str, name: str, info: str = "summary", *, wildcards: bool = False
    ) -> dict[str, Any]:
        """Where an indicator was seen (`GET insight/{oid}/objects/{type}`), as received.

        Args:
            object_type: `domain`, `ip`, `file_hash`, `file_path`, `file_name`, `user`, `service_name`,
                `package_name`.
            info: `summary` (how many sensors in 1, 7, 30 and 365 days) or `locations` (by sid).
            wildcards: `%` in the name stands for anything.
        """
        if info not in ("summary", "locations"):
            raise Invalid("What is known of an object is its summary, or its locations.")
        query = {
            "name": name,
            "info": info,
            "case_sensitive": "true",
            "with_wildcards": flag(wildcards),
            "per_object": flag(wildcards and info == "summary"),
        }
        answer = await self._get("insight/{oid}/objects/{type}", query, type=object_type)
        return answers.filled(answer.json(), answer.what)

    async def objects_seen(self, objects: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """How many sensors saw which of many indicators (`POST insight/{oid}/objects`), as received.

        Args:
            objects: {object_type: [name]}.

        Returns:
            {`last_1_days`, `last_7_days`, `last_30_days`, `last_365_days`: {object_type: {name: sensors}}}.
        """
        wanted = {kind: list(names) for kind, names in objects.items()}
        form = [
            ("objects", encoded(wanted).decode("ascii")),
            ("case_sensitive", "true"),
            ("info", "summary"),
        ]
        answer = await self._read("POST", "insight/{oid}/objects", form)
        return answers.filled(answer.json(), answer.what)


def _events(body: bytes, what: str) -> Page:
    return answers.records_page(answers.decode(body, what), "events", what)


def _atom(atom: str) -> str:
    if not isinstance(atom, str) or not _ATOM.fullmatch(atom):
        raise Invalid(f"{str(atom)[:80]!a} is not an event's atom.")
    return atom
