"""Hive records: read one by one or all, written under the etag that was read, never blindly."""

from enum import Enum
from typing import Any, Final, Literal

import msgspec

from console.limacharlie import answers
from console.limacharlie.answers import HiveRecord
from console.limacharlie.errors import Conflict, Gone, Invalid, Protocol
from console.limacharlie.handle import Done, Part, done, encoded, onward

HIVE_PAGE = 500
"""Records asked for at once: the cloud's cap."""


class _Absent(Enum):
    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent.ABSENT
"""In place of an etag: there was no record."""
Expected = str | Literal[_Absent.ABSENT]
"""What is expected to be there: the etag of the record that was read, or ABSENT."""


class HiveMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """`usr_mtd`, whole: the cloud replaces it wholesale, and takes what is not said for off.

    So nothing has a default. `HiveMetadata.of(record)` with `msgspec.structs.replace` changes one
    thing and keeps the others.
    """

    enabled: bool
    expiry: int
    """Milliseconds since 1970, UTC; 0 is never."""
    tags: tuple[str, ...]
    comment: str
    others: dict[str, Any]
    """Whatever else was read (`ui_actions`), to be written back."""

    @classmethod
    def of(cls, record: HiveRecord) -> "HiveMetadata":
        """The metadata of a record that was read.

        Raises:
            Protocol: it has another shape, and would not be written back as it was.
        """
        held, what = record.metadata, "a record's usr_mtd"
        enabled = held.get("enabled", False)
        expiry = answers.given(held.get("expiry"), 0)
        comment = answers.given(held.get("comment"), "")
        if not isinstance(enabled, bool) or isinstance(expiry, bool) or not isinstance(expiry, int):
            raise Protocol("A record's usr_mtd has an enabled or an expiry that is none.")
        return cls(
            enabled=enabled,
            expiry=expiry,
            tags=tuple(answers.texts(held.get("tags"), what, "tags")),
            comment=answers.text(comment, what, "comment"),
            others={
                name: value
                for name, value in held.items()
                if name not in ("enabled", "expiry", "tags", "comment")
            },
        )

    def sent(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return {
            **self.others,
            "enabled": self.enabled,
            "expiry": self.expiry,
            "tags": list(self.tags),
            "comment": self.comment,
        }


class HiveWritten(msgspec.Struct, frozen=True):
    """A record was written. Its new etag is not in the answer: read it back."""

    hive: str
    key: str
    guid: str


class Hive(Part):
    """The hives of an organization."""

    async def hive(self, name: str, *, mtd_only: bool = False) -> dict[str, HiveRecord]:
        """All records of a hive by key (`GET hive/{name}/{oid}`), paged.

        Args:
            name: such as `dr-general`.
            mtd_only: leave the content out: for the secret hive, whose content never leaves the cloud.

        Raises:
            Denied: the key lacks the hive's permission; the cloud answers 400 with `UNAUTHORIZED`.
            Protocol: pages repeat or are none.
        """
        records: dict[str, HiveRecord] = {}
        cursor = ""
        seen: set[str] = set()
        while True:
            query = {"limit": str(HIVE_PAGE)}
            if cursor:
                query["cursor"] = cursor
            if mtd_only:
                query["mtd_only"] = "true"
            answer = await self._get("hive/{hive}/{oid}", query, hive=name)
            page, following = answers.hive_page(answer.json(), answer.what)
            records.update(page)
            if not following:
                break
            cursor = onward(following, seen, answer.what)
        if mtd_only:
            # A cloud that does not know mtd_only sends the content; it is dropped before anybody sees it.
            return {key: msgspec.structs.replace(record, body=None) for key, record in records.items()}
        return records

    async def hive_record(self, hive: str, key: str) -> HiveRecord:
        """One record with its content (`GET hive/{hive}/{oid}/{key}/data`).

        Raises:
            Gone: there is none with this key.
            Denied: the key lacks the hive's permission.
        """
        answer = await self._get("hive/{hive}/{oid}/{key}/data", hive=hive, key=key)
        record = answers.hive_record(answer.json(), answer.what)
        answers.member(answer.json(), "data", answer.what)
        return _with_etag(record, answer.what)

    async def hive_metadata(self, hive: str, key: str) -> HiveRecord:
        """One record without its content (`GET hive/{hive}/{oid}/{key}/mtd`): `body` is None.

        Raises:
            Gone: there is none with this key.
            Denied: the key lacks the permission for metadata.
        """
        answer = await self._get("hive/{hive}/{oid}/{key}/mtd", hive=hive, key=key)
        record = answers.hive_record(answer.json(), answer.what)
        return msgspec.structs.replace(_with_etag(record, answer.what), body=None)

    async def set_hive_record(
        self, hive: str, key: str, data: dict[str, Any], metadata: HiveMetadata, expected: Expected
    ) -> HiveWritten:
        """Write a record, content and metadata (`POST hive/{hive}/{oid}/{key}/data`).

        The API has no way to say "only when there is none": with ABSENT the key is read first, and
        what somebody else creates between that and the write is overwritten. Everything else is
        under the etag.

        Args:
            data: the content; of the shape that the hive has.
            metadata: all of it.
            expected: the etag of the record that was read, or ABSENT for a new one.

        Raises:
            Conflict: somebody changed it since, or there is one where none was expected.
            Invalid: the content is refused, or is what stands for a record that is closed to this key.
            Ambiguous: the outcome is unknown; read it back.
        """
        if "acl_restricted" in data:
            raise Invalid(f"The content of {key[:80]!a} is closed to this key, and cannot be written back.")
        form = [("data", encoded(data).decode("ascii")), ("usr_mtd", _sent(metadata))]
        if expected is ABSENT:
            await self._must_be_absent(hive, key)
        else:
            form.append(("etag", _etag(expected)))
        return await self._write(
            "POST", "hive/{hive}/{oid}/{key}/data", self._written(hive, key), form=form, hive=hive, key=key
        )

    async def set_hive_metadata(
        self, hive: str, key: str, metadata: HiveMetadata, expected: str
    ) -> HiveWritten:
        """Write a record's metadata (`POST hive/{hive}/{oid}/{key}/mtd`); its content stays.

        Args:
            metadata: all of it.
            expected: the etag of the record that was read.

        Raises:
            Gone: there is no such record.
            Conflict: somebody changed it since.
            Ambiguous: the outcome is unknown; read it back.
        """
        form = [("usr_mtd", _sent(metadata)), ("etag", _etag(expected))]
        return await self._write(
            "POST", "hive/{hive}/{oid}/{key}/mtd", self._written(hive, key), form=form, hive=hive, key=key
        )

    async def delete_hive_record(self, hive: str, key: str, expected: str) -> Done:
        """Remove a record (`DELETE hive/{hive}/{oid}/{key}`).

        The API removes without an etag, so the record is read first; what somebody changes between
        that and the removal is lost with it.

        Args:
            expected: the etag of the record that was read.

        Raises:
            Gone: there is no such record.
            Conflict: somebody changed it since.
            Ambiguous: the outcome is unknown; read it back.
        """
        await self._must_be(hive, key, expected)
        return await self._write("DELETE", "hive/{hive}/{oid}/{key}", done, hive=hive, key=key)

    async def rename_hive_record(self, hive: str, key: str, new_name: str, expected: str) -> Done:
        """Give a record another key (`POST hive/{hive}/{oid}/{key}/rename`); both keys are read first.

        Args:
            new_name: under which there must be no record.
            expected: the etag of the record that was read.

        Raises:
            Gone: there is no such record.
            Conflict: somebody changed it since, or the new key is taken.
            Ambiguous: the outcome is unknown; read it back.
        """
        if not new_name:
            raise Invalid("A record needs a key.")
        await self._must_be(hive, key, expected)
        await self._must_be_absent(hive, new_name)
        # Read from the query by one official client's cloud, from the form by the other's.
        return await self._write(
            "POST",
            "hive/{hive}/{oid}/{key}/rename",
            done,
            query={"new_name": new_name},
            form=[("new_name", new_name)],
            hive=hive,
            key=key,
        )

    async def validate_hive_record(
        self, hive: str, key: str, data: dict[str, Any], metadata: HiveMetadata | None = None
    ) -> str:
        """What the cloud has against a record (`POST hive/{hive}/{oid}/{key}/validate`); stores nothing.

        Returns:
            "" when it is valid, else the cloud's reason, a stranger's text.

        Raises:
            Denied: the key lacks the permission to set records of this hive.
        """
        form = [("data", encoded(data).decode("ascii"))]
        if metadata is not None:
            form.append(("usr_mtd", _sent(metadata)))
        try:
            answer = await self._read("POST", "hive/{hive}/{oid}/{key}/validate", form, hive=hive, key=key)
        except Invalid as error:
            if error.status != 400:
                raise
            return str(error)
        held = answers.mapping(answer.json(), answer.what)
        if held.get("error"):
            return answer.excerpt(held["error"])
        if held and held.get("valid") is not True:
            answers.refuse(answer.what, "does not say whether the record is valid")
        return ""

    async def hive_schema(self, hive: str) -> dict[str, Any]:
        """The JSON Schema of a hive's records (`GET hive/{hive}/schema`)."""
        answer = await self._get("hive/{hive}/schema", hive=hive)
        return answers.mapping(answers.member(answer.json(), "schema", answer.what), answer.what, "schema")

    async def _must_be(self, hive: str, key: str, expected: str) -> None:
        held = await self.hive_metadata(hive, key)
        if held.etag != _etag(expected):
            raise Conflict(f"The record {key[:80]!a} was changed by somebody else.", code="ETAG_MISMATCH")

    async def _must_be_absent(self, hive: str, key: str) -> None:
        try:
            await self.hive_metadata(hive, key)
        except Gone as gone:
            if gone.code != "RECORD_NOT_FOUND":
                # The organization or the hive is gone, not the record.
                raise
            return
        raise Conflict(f"There is a record {key[:80]!a} already.", code="ETAG_MISMATCH")

    def _written(self, hive: str, key: str) -> "_Reader":
        return _Reader(hive, key, self.oid)


class _Reader(msgspec.Struct, frozen=True):
    """Reads the answer to a write, which names what was written."""

    hive: str
    key: str
    oid: str

    def __call__(self, value: Any, what: str) -> HiveWritten:
        details = done(value, what).details
        where = answers.mapping(answers.member(details, "hive", what), what, "hive")
        # The names of scopes are kept in lower case.
        key = self.key.lower() if self.hive == "acl" else self.key
        named = (details.get("name"), where.get("name"), where.get("partition"))
        if named not in ((self.key, self.hive, self.oid), (key, self.hive, self.oid)):
            raise Protocol(f"The answer to {what} is about another record.")
        return HiveWritten(self.hive, key, answers.text(answers.member(details, "guid", what), what, "guid"))


def _etag(expected: str) -> str:
    if not isinstance(expected, str) or not expected:
        raise Invalid("A record is changed only under the etag that was read, and none was given.")
    return expected


def _with_etag(record: HiveRecord, what: str) -> HiveRecord:
    if not record.etag:
        answers.refuse(what, "has a record without an etag")
    return record


def _sent(metadata: HiveMetadata) -> str:
    return encoded(metadata.sent()).decode("ascii")
