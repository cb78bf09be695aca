"""What is kept of the past: detections, events, the audit log."""

from console.limacharlie import answers
from console.limacharlie.answers import DetectionPage, Page
from console.limacharlie.handle import Part, aside

DETECTIONS_PAGE = 1_000
AUDIT_PAGE = 1_000


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
