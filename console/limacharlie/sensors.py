"""Sensors: the listing, one of them, its tags, and what is done to it."""

from collections.abc import AsyncIterator
from typing import Any

from console.limacharlie import answers
from console.limacharlie.errors import Invalid
from console.limacharlie.handle import Done, Part, done, onward, uuid

SENSORS_PAGE = 1_000


class Sensors(Part):
    """The sensors of an organization."""

    async def sensors(self) -> AsyncIterator[list[dict[str, Any]]]:
        """All sensors, page by page (`GET sensors/{oid}`): records as received.

        Times are `YYYY-MM-DD HH:MM:SS` UTC; each row has a `sid`.

        Raises:
            Protocol: a page is none, belongs to another organization, or the listing repeats itself.
        """
        token = ""
        seen: set[str] = set()
        while True:
            query = {"limit": str(SENSORS_PAGE)}
            if token:
                query["continuation_token"] = token
            answer = await self._get("sensors/{oid}", query)
            held = answers.mapping(answer.json(), answer.what)
            rows = answers.records_page(held, "sensors", answer.what).records
            for row in rows:
                answers.text(answers.member(row, "sid", answer.what), answer.what, "sid")
                answers.own_organization(row, self.oid, answer.what)
            if rows:
                yield rows
            following = answers.cursor(held.get("continuation_token"), answer.what, "continuation_token")
            if not following:
                return
            token = onward(following, seen, answer.what)

    async def sensor_tags(self, sid: str) -> dict[str, list[str]]:
        """The tags of a sensor (`GET {sid}/tags`): {tag: [sid, tag, by, "YYYY-MM-DD HH:MM:SS" UTC]}.

        Raises:
            Gone: there is no such sensor.
        """
        answer = await self._get("{sid}/tags", sid=uuid(sid, "sensor"))
        held = answers.mapping(answers.member(answer.json(), "tags", answer.what), answer.what, "tags")
        rows = answers.mapping(held.get(sid) or {}, answer.what, "tags")
        if held and sid not in held:
            answers.refuse(answer.what, "is about another sensor")
        return {tag: answers.texts(row, answer.what, "each tag") for tag, row in rows.items()}

    async def tag_sensor(self, sid: str, tag: str, ttl: int = 0) -> Done:
        """Add a tag (`POST {sid}/tags`).

        Args:
            ttl: seconds after which it goes by itself; 0 is never.

        Raises:
            Denied: `sensor.tag` is missing, or for `acl:` tags `acl.set`.
            Gone: there is no such sensor.
        """
        form = [("tags", _tag(tag))]
        if ttl:
            form.append(("ttl", str(int(ttl))))
        return await self._write("POST", "{sid}/tags", done, form=form, sid=uuid(sid, "sensor"))

    async def untag_sensor(self, sid: str, tag: str) -> Done:
        """Remove a tag (`DELETE {sid}/tags`); errors as of `tag_sensor`."""
        form = [("tag", _tag(tag))]
        return await self._write("DELETE", "{sid}/tags", done, form=form, sid=uuid(sid, "sensor"))


def _tag(tag: str) -> str:
    if not tag.strip() or "," in tag:
        raise Invalid("A tag is one word or more, without a comma: the cloud would take it for several.")
    return tag
