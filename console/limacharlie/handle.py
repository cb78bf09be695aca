"""What every part of `Cloud` and of `OrganizationHandle` asks with."""

import asyncio
import base64
import gzip
import json
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from console.limacharlie import answers
from console.limacharlie.credentials import Credentials, OrganizationKey
from console.limacharlie.errors import Ambiguous, Denied, Invalid, Protocol, Unavailable
from console.limacharlie.tokens import Scope
from console.limacharlie.transport import Answer, Call, Transport, organization_id

Result = TypeVar("Result")
Fields = Sequence[tuple[str, str]]
"""Fields of a form; a name may come more than once."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class Done(msgspec.Struct, frozen=True):
    """A change was made: the cloud said so with an object and without an error."""

    details: dict[str, Any] = {}
    """The object as received."""


class Asker:
    """Sends calls with a scope, and reads what comes back."""

    _transport: Transport
    _scope: Scope

    async def _send(self, call: Call) -> Answer:
        return await self._transport.send(call)

    async def _change(
        self,
        method: str,
        template: str,
        read: Callable[[Any, str], Result],
        *,
        form: Fields | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        root: str = "api",
        host: str = "",
        scope: Scope | None = None,
        segments: Mapping[str, str] | None = None,
    ) -> Result:
        """One change, sent exactly once.

        Raises:
            Ambiguous: the outcome is unknown: no answer, a damaged one, or a 200 of another shape than
                `read` takes.
        """
        call = Call(
            method,
            template,
            segments or {},
            sendable(query or {}),
            form=[*sendable(dict(enumerate(form))).values()] if form is not None else None,
            json=encoded(body) if body is not None else None,
            scope=scope or self._scope,
            safe=False,
            root=root,
            host=host,
        )
        return changed(await self._send(call), read)


class CloudPart(Asker):
    """A subject of `Cloud`."""

    credentials: Credentials

    @property
    def _one(self) -> bool:
        return isinstance(self.credentials, OrganizationKey)

    def _users_only(self, why: str) -> None:
        if self._one:
            raise Denied(why)


class Part(Asker):
    """A subject of `OrganizationHandle`: every request carries its oid and a token for it alone."""

    def __init__(self, transport: Transport, oid: str) -> None:
        self.oid = organization_id(oid)
        self._transport = transport
        self._scope = Scope("organization", oid)
        self._hosts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.oid!r})"

    async def _get(self, template: str, query: Mapping[str, str] | None = None, **segments: str) -> Answer:
        call = Call("GET", template, {"oid": self.oid, **segments}, sendable(query or {}), scope=self._scope)
        return await self._send(call)

    async def _read(
        self,
        method: str,
        template: str,
        form: Fields | None = None,
        body: Any = None,
        root: str = "api",
        host: str = "",
        **segments: str,
    ) -> Answer:
        """What changes nothing though it is no GET, and may be repeated like one."""
        call = Call(
            method,
            template,
            {"oid": self.oid, **segments},
            form=[*sendable(dict(enumerate(form))).values()] if form is not None else None,
            json=encoded(body) if body is not None else None,
            scope=self._scope,
            safe=True,
            root=root,
            host=host,
        )
        return await self._send(call)

    async def _write(
        self,
        method: str,
        template: str,
        read: Callable[[Any, str], Result],
        *,
        form: Fields | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        root: str = "api",
        **segments: str,
    ) -> Result:
        """A change of this organization; as `_change`."""
        return await self._change(
            method,
            template,
            read,
            form=form,
            query=query,
            body=body,
            root=root,
            segments={"oid": self.oid, **segments},
        )

    async def _ask(
        self,
        extension: str,
        action: str,
        data: Any,
        read: Callable[[Any, str], Result],
        *,
        safe: bool,
        impersonated: bool = False,
    ) -> Result:
        """`data` of an extension's answer to a request, read; see `Extensions.request_extension`."""
        packed = base64.b64encode(gzip.compress(encoded(data), mtime=0)).decode("ascii")
        fields = list(sendable({"oid": self.oid, "action": action, "gzdata": packed}).items())

        def form(token: str) -> list[tuple[str, str]]:
            return [*fields, ("impersonator_jwt", token)] if impersonated else fields

        call = Call(
            "POST",
            "extension/request/{extension}",
            {"extension": extension},
            form=form,
            scope=self._scope,
            safe=safe,
        )
        answer = await self._send(call)

        def envelope(value: Any, what: str) -> Result:
            held = answers.mapping(value, what)
            error = answers.text(held.get("error") or "", what, "error")
            if error and held.get("retry", not safe) is not False:
                # The extension gave up on the way, and may have done a part of it.
                if safe:
                    raise Unavailable(f"{what} failed for now: {answer.excerpt(error)}.")
                raise Protocol(f"{what} failed for now: {answer.excerpt(error)}.")
            if error:
                raise Invalid(f"{what} failed: {answer.excerpt(error)}.")
            return read(answers.member(held, "data", what), what)

        if safe:
            return envelope(answer.json(), answer.what)
        return changed(answer, envelope)


def changed(answer: Answer, read: Callable[[Any, str], Result]) -> Result:
    """Read what a change was answered with.

    Raises:
        Ambiguous: it has not the shape of a success; the change may have been made all the same.
    """
    try:
        return read(answer.json(), answer.what)
    except Protocol as error:
        text = str(error)
        text = text[:1].lower() + text[1:] if text[:2].istitle() else text
        raise Ambiguous(f"The outcome of {answer.what} is unknown: {text}") from None


def done(value: Any, what: str) -> Done:
    """An object that names no error and does not say that it failed: `{}` is the whole answer of many."""
    held = answers.mapping(value, what)
    if held.get("error"):
        answers.refuse(what, "names an error in a success")
    if held.get("success", True) is not True:
        answers.refuse(what, "does not say that it succeeded")
    return Done(held)


def succeeded(value: Any, what: str) -> Done:
    """As `done`, of the calls that are answered with `{"success": true}`."""
    result = done(value, what)
    answers.member(result.details, "success", what)
    return result


def encoded(value: Any) -> bytes:
    """JSON in ASCII: what a stranger's text holds goes back exactly as it was read, lone surrogates too.

    Raises:
        Invalid: it is no JSON: NaN, a set, an object of Python's, a key that is not text, too deep.
    """
    try:
        _text_keys(value)
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        raise Invalid("What should be written is not JSON.") from None


def _text_keys(value: Any) -> None:
    """Python would turn a number that is a key into text without a word."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError
        for below in value.values():
            _text_keys(below)
    elif isinstance(value, list | tuple):
        for below in value:
            _text_keys(below)


Name = TypeVar("Name")
Value = TypeVar("Value", str, tuple[str, str])


def sendable(fields: Mapping[Name, Value]) -> dict[Name, Value]:
    """Fields of a form or of a query, when they can be sent.

    Raises:
        Invalid: one holds a lone surrogate, which no form can carry.
    """
    try:
        for value in fields.values():
            (value if isinstance(value, str) else "".join(value)).encode("utf-8")
    except UnicodeEncodeError:
        raise Invalid("What should be sent holds half a character, which cannot be sent.") from None
    return dict(fields)


def is_uuid(value: object) -> bool:
    """Whether it is one, as text."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def uuid(value: str, name: str) -> str:
    """An id that is a UUID, for a path where another word would be another request.

    Raises:
        Invalid: it is none.
    """
    if not is_uuid(value):
        raise Invalid(f"{str(value)[:80]!a} is not a {name}'s id.")
    return value


def flag(value: bool) -> str:
    """A boolean as forms and queries have it."""
    return "true" if value else "false"


def onward(cursor: str, seen: set[str], what: str) -> str:
    """The next cursor of a listing, which must be a new one.

    Raises:
        Protocol: it was there before.
    """
    if cursor in seen:
        raise Protocol(f"The listing {what} repeats itself and would never end.")
    seen.add(cursor)
    return cursor


async def all_of(reads: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Everything at once; the first error ends the others."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def aside(read: Callable[[bytes, str], Result], answer: Answer) -> Result:
    """Read a large answer in a thread, since unpacking one holds up the screen."""
    if len(answer.body) < 65_536:
        return read(answer.body, answer.what)
    return await asyncio.to_thread(read, answer.body, answer.what)
