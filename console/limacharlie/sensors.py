"""Sensors: the listing, one of them, its tags, and what is done to it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from console.limacharlie import answers
from console.limacharlie.errors import Invalid
from console.limacharlie.handle import Done, Part, done, is_uuid, onward, uuid

SENSORS_PAGE = 1_000


class Sensor(msgspec.Struct, frozen=True):
    """One sensor, and whether it is online."""

    info: dict[str, Any]
    """Its record as received: sid, hostname, plat, arch, enroll, alive, isolated, ..."""
    online: bool


class Sensors(Part):
    """The sensors of an organization."""

    async def sensors(self, selector: str = "") -> AsyncIterator[list[dict[str, Any]]]:
        """All sensors, page by page (`GET sensors/{oid}`): records as received.

        Args:
            selector: a sensor selector, such as `plat == windows`; "" for all.

        Times are `YYYY-MM-DD HH:MM:SS` UTC; each row has a `sid`.

        Raises:
            Protocol: a page is none, belongs to another organization, or the listing repeats itself.
        """
        token = ""
        seen: set[str] = set()
        while True:
            query = {"limit": str(SENSORS_PAGE)}
            if selector:
                query["selector"] = selector
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

    async def sensor(self, sid: str) -> Sensor:
        """One sensor (`GET {sid}`).

        Raises:
            Gone: there is no such sensor.
        """
        answer = await self._get("{sid}", sid=uuid(sid, "sensor"))
        held = answers.mapping(answer.json(), answer.what)
        info = answers.mapping(answers.member(held, "info", answer.what), answer.what, "info")
        if info.get("sid", sid) != sid:
            answers.refuse(answer.what, "is another sensor")
        answers.own_organization(info, self.oid, answer.what)
        if isinstance(held.get("is_online"), bool):
            return Sensor(info, held["is_online"])
        online = answers.mapping(answers.member(held, "online", answer.what), answer.what, "online")
        return Sensor(info, bool(online) and not online.get("error"))

    async def online_of(self, sids: Sequence[str]) -> dict[str, bool]:
        """Which of some sensors are online (`POST online/{oid}`, which changes nothing).

        Returns:
            {sid: online} of those that the answer names.
        """
        form = [("sids", uuid(sid, "sensor")) for sid in sids]
        if not form:
            return {}
        answer = await self._read("POST", "online/{oid}", form)
        held = answers.mapping(answer.json(), answer.what)
        online = {sid: answers.truth(value, answer.what, "each sensor") for sid, value in held.items()}
        if not online or not online.keys() <= set(sids):
            answers.refuse(answer.what, "is about other sensors")
        return online

    async def tags(self) -> list[str]:
        """Every tag in use (`GET tags/{oid}`)."""
        answer = await self._get("tags/{oid}")
        return answers.texts(answers.member(answer.json(), "tags", answer.what), answer.what, "tags")

    async def sensors_with_tag(self, tag: str) -> dict[str, list[str]]:
        """The sensors with a tag, and all tags of each (`GET tags/{oid}/{tag}`): {sid: tags}."""
        answer = await self._get("tags/{oid}/{tag}", tag=_tag(tag))
        held = answers.mapping(answer.json(), answer.what)
        found = {sid: answers.texts(each, answer.what, "each sensor") for sid, each in held.items()}
        if not all(map(is_uuid, found)):
            answers.refuse(answer.what, "names something that is no sensor")
        return found

    async def sensors_named(self, hostname: str) -> dict[str, str]:
        """The sensors whose host name begins so (`GET hostnames/{oid}`): {sid: hostname}."""
        answer = await self._get("hostnames/{oid}", {"hostname": hostname})
        held = answers.member(answer.json(), "sid", answer.what)
        found = {}
        for row in answers.mappings(answers.given(held, []), answer.what, "sid"):
            sid = answers.text(answers.member(row, "sid", answer.what), answer.what, "sid")
            found[sid] = answers.text(answers.member(row, "hostname", answer.what), answer.what, "hostname")
        return found

    async def sensor_tags(self, sid: str) -> dict[str, list[str]]:
        """The tags of a sensor (`GET {sid}/tags`): {tag: [sid, tag, by, "YYYY-MM-DD HH:MM:SS" UTC]}.

        Raises:
            Gone: there is no such sensor.
        """
        answer = await self._get("{sid}/tags", sid=uuid(sid, "sensor"))
        held = answers.mapping(answers.member(answer.json(), "tags", answer.what), answer.what, "tags")
        rows = answers.mapping(answers.given(held.get(sid), {}), answer.what, "tags")
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

    async def task_sensor(self, sid: str, tasks: Sequence[str], investigation_id: str = "") -> Done:
        """Let a sensor carry out commands (`POST {sid}`), such as `os_version`; what they bring are events.

        Args:
            tasks: command lines, as the console of the sensor takes them.
            investigation_id: by which the events are found again.

        Raises:
            Denied: `sensor.task` is missing.
            Gone: there is no such sensor.
            Ambiguous: the outcome is unknown; the commands may have been carried out.
        """
        if not tasks or not all(each.strip() for each in tasks):
            raise Invalid("A sensor is tasked with at least one command.")
        form = [("tasks", each) for each in tasks]
        if investigation_id:
            form.append(("investigation_id", investigation_id))
        return await self._write("POST", "{sid}", done, form=form, sid=uuid(sid, "sensor"))

    async def delete_sensor(self, sid: str) -> Done:
        """Delete a sensor (`DELETE {sid}`)."""
        return await self._write("DELETE", "{sid}", done, sid=uuid(sid, "sensor"))

    async def isolate_sensor(self, sid: str) -> Done:
        """Cut a machine off the network but for LimaCharlie (`POST {sid}/isolation`)."""
        return await self._write("POST", "{sid}/isolation", done, form=[], sid=uuid(sid, "sensor"))

    async def rejoin_sensor(self, sid: str) -> Done:
        """Let a machine back to the network (`DELETE {sid}/isolation`)."""
        return await self._write("DELETE", "{sid}/isolation", done, form=[], sid=uuid(sid, "sensor"))

    async def seal_sensor(self, sid: str) -> Done:
        """Let nobody remove the sensor from its machine (`POST {sid}/seal`)."""
        return await self._write("POST", "{sid}/seal", done, form=[], sid=uuid(sid, "sensor"))

    async def unseal_sensor(self, sid: str) -> Done:
        """Let the sensor be removed again (`DELETE {sid}/seal`)."""
        return await self._write("DELETE", "{sid}/seal", done, form=[], sid=uuid(sid, "sensor"))


def _tag(tag: str) -> str:
    if not tag.strip() or "," in tag:
        raise Invalid("A tag is one word or more, without a comma: the cloud would take it for several.")
    return tag
