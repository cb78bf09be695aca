"""Keys into tokens: exchanged, kept in memory only, refreshed once however many notice."""

import asyncio
import base64
import binascii
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from console.limacharlie.clock import Clock
from console.limacharlie.credentials import Credentials, OrganizationKey, UserKey
from console.limacharlie.errors import Auth, Closed, Denied, LimaCharlieError, Protocol
from console.limacharlie.limits import server_time
from store.secret import Secret

MARGIN = 60.0
"""Seconds before its end at which a token is replaced."""
TRUST_REFRESHED = 60.0
"""A token that was fetched because of a 401, and meets another within so many seconds, is not to blame."""

KEPT = 1024
"""Tokens in memory: one for each of ten thousand organizations would be 40 MB."""

_UNSAID = 600.0
_LONGEST = 86_400.0
_SHAPE = re.compile(r"[\w-]+\.[\w-]+=*\.[\w-]*=*", re.ASCII)
_LARGEST = 1_048_576


@dataclass(frozen=True)
class Scope:
    """What a token is good for."""

    kind: str
    """`identity` (no organization's permissions), `organization`, or `all` organizations of a user."""
    oid: str = ""
    permissions: tuple[str, ...] = ()
    """Narrows a token of kind `all`: every organization's permissions make it too large for the
    gateway (413) beyond some dozen organizations."""


IDENTITY = Scope("identity")


@dataclass(frozen=True)
class Token:
    """A token in memory."""

    value: Secret
    good_until: float
    """On the clock's `monotonic()`."""
    fetched: float
    """On the clock's `monotonic()`."""
    after_refusal: bool = False
    """It replaced one that met a 401."""
    cost: float = 0.0
    """Seconds that its exchange took, waiting for the rate limit aside."""


@dataclass
class _Slot:
    token: Token | None = None
    fetching: "asyncio.Task[Token] | None" = None


Exchange = Callable[
    [list[tuple[str, str]], str, float | None], Awaitable[tuple[Any, Mapping[str, str], float]]
]
"""Sends a form to the token service: (the decoded answer, its headers, the seconds that it took). The text
says what for; the number is how many seconds there are, None for the whole of a call's."""


@dataclass
class Tokens:
    """The tokens of one credential, by scope."""

    credentials: Credentials
    exchange: Exchange
    clock: Clock = field(default_factory=Clock)
    """Its time of day is used only where the token service does not say its own."""
    refreshes: int = 0
    """How many exchanges were made because of a 401."""
    exchanges: int = 0
    _slots: dict[Scope, _Slot] = field(default_factory=dict)
    _proven: tuple[float, Auth | None] = (-math.inf, None)
    """When the key as a whole was last asked about, and how it was refused (None: it was not)."""
    _proving: asyncio.Lock = field(default_factory=asyncio.Lock)

    def secrets(self) -> list[str]:
        """Everything that must not appear in a text."""
        held = [slot.token.value.reveal() for slot in self._slots.values() if slot.token is not None]
        return [*held, self.credentials.secret.reveal()]

    def secrets_of(self, token: "Token | None") -> tuple[str, ...]:
        """What no text may repeat of the answer to a request that carried a token."""
        held = self.credentials.secret.reveal()
        return (held,) if token is None else (token.value.reveal(), held)

    async def get(self, scope: Scope, seconds: float | None = None) -> Token:
        """A token that is good for a scope, fetched if there is none or it ends soon.

        Args:
            seconds: how long an exchange may take, should one be begun for this.

        Raises:
            Auth: the key is refused as a whole.
            Closed: the key is good, and the organization is closed to it.
            Denied: this kind of key never gets such a token.
            Protocol: the answer is no token, or one for another organization.
            LimaCharlieError: the token service cannot be reached.
        """
        scope = self._possible(scope)
        slot = self._slot(scope)
        if slot.token is not None and self.clock.monotonic() < slot.token.good_until:
            return slot.token
        return await self._fetch(scope, slot, seconds, after_refusal=False)

    async def refresh(self, scope: Scope, refused: Token, seconds: float | None = None) -> Token | None:
        """Another token in place of one that met a 401; one exchange for all who ask at once.

        None when the refused token is itself so fresh a replacement that another would not help.

        Raises:
            LimaCharlieError: as `get`.
        """
        scope = self._possible(scope)
        slot = self._slot(scope)
        if slot.token is not None and slot.token is not refused:
            return slot.token
        if refused.after_refusal and self.clock.monotonic() - refused.fetched < TRUST_REFRESHED:
            return None
        return await self._fetch(scope, slot, seconds, after_refusal=True)

    async def close(self) -> None:
        """Give up exchanges that are under way."""
        running = [slot.fetching for slot in self._slots.values() if slot.fetching is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._slots.clear()

    def _slot(self, scope: Scope) -> _Slot:
        """The place of a scope's token; the one that was used longest ago goes when there are too many."""
        slot = self._slots.pop(scope, None) or _Slot()
        self._slots[scope] = slot
        if len(self._slots) > KEPT:
            oldest = next((each for each, held in self._slots.items() if held.fetching is None), scope)
            if oldest != scope:
                del self._slots[oldest]
        return slot

    def _possible(self, scope: Scope) -> Scope:
        """The scope that this kind of key has for what is wanted (an organization's key has one only)."""
        key = self.credentials
        if isinstance(key, UserKey):
            return scope
        if scope.kind == "organization" and scope.oid != key.oid:
            raise Denied(
                f"This is the key of organization {key.oid}; organization {scope.oid} is closed to it."
            )
        if scope.kind == "all":
            raise Denied("An organization's key sees its own organization only; a user's API key is needed.")
        return Scope("organization", key.oid)

    async def _fetch(self, scope: Scope, slot: _Slot, seconds: float | None, *, after_refusal: bool) -> Token:
        if slot.fetching is None:
            if after_refusal:
                self.refreshes += 1
            slot.fetching = asyncio.create_task(self._exchange(scope, slot, seconds, after_refusal))
            slot.fetching.add_done_callback(_look_at)
        # Shielded: one who gives up waiting must not take the token from the others.
        return await asyncio.shield(slot.fetching)

    async def _exchange(self, scope: Scope, slot: _Slot, seconds: float | None, after_refusal: bool) -> Token:
        began = self.clock.monotonic()
        try:
            self.exchanges += 1
            answer, headers, cost = await self.exchange(self._form(scope), _purpose(scope), seconds)
            slot.token = self._read(scope, answer, headers, cost, after_refusal)
            return slot.token
        except Auth as refused:
            if scope.kind == "organization" and isinstance(self.credentials, UserKey):
                await self._prove(began, refused, seconds)
                raise Closed(
                    f"Organization {scope.oid} is closed to this key, which is good in itself. {refused}",
                    status=refused.status,
                    code=refused.code,
                ) from None
            raise
        finally:
            slot.fetching = None

    async def _prove(self, since: float, refused: Auth, seconds: float | None) -> None:
        """Return when the key is good for its user, whatever one organization says of it.

        Asked once for all who wonder at the same time: a revoked key is refused everywhere.

        Raises:
            Auth: it is not, or nobody can tell.
        """
        async with self._proving:
            if self._proven[0] < since:
                asked = self.clock.monotonic()
                try:
                    answer, headers, cost = await self.exchange(
                        self._form(IDENTITY), _purpose(IDENTITY), seconds
                    )
                    token = self._read(IDENTITY, answer, headers, cost, False)
                except Auth as error:
                    self._proven = (asked, error)
                except LimaCharlieError:
                    raise refused from None
                else:
                    self._slot(IDENTITY).token = token
                    self._proven = (asked, None)
            wholly = self._proven[1]
        if wholly is not None:
            raise Auth(str(wholly), status=wholly.status, code=wholly.code)

    def _form(self, scope: Scope) -> list[tuple[str, str]]:
        """The fields of `POST jwt.limacharlie.io/`; no `expiry`: the clients disagree on what it means."""
        key = self.credentials
        if isinstance(key, OrganizationKey):
            return [("oid", key.oid), ("secret", key.secret.reveal())]
        form = [("uid", key.uid), ("secret", key.secret.reveal())]
        if scope.kind == "identity":
            form.append(("oid", "-"))
        elif scope.kind == "organization":
            form.append(("oid", scope.oid))
        if scope.permissions:
            form.append(("perms", ",".join(scope.permissions)))
        return form

    def _read(
        self, scope: Scope, answer: Any, headers: Mapping[str, str], cost: float, after_refusal: bool
    ) -> Token:
        value = answer.get("jwt") if isinstance(answer, dict) else None
        if not isinstance(value, str) or len(value) > _LARGEST or not _SHAPE.fullmatch(value):
            raise Protocol(f"The token service answered without a token {_purpose(scope)}.")
        payload = read_payload(value)
        if payload is None:
            raise Protocol(f"The token service answered with an unreadable token {_purpose(scope)}.")
        if scope.kind == "organization" and scope.oid not in organizations_of(payload):
            raise Protocol(
                f"The token service answered with a token that does not name organization {scope.oid}."
            )
        now = server_time(headers)
        life = _life(payload.get("exp"), self.clock.time() if now is None else now)
        fetched = self.clock.monotonic()
        return Token(
            Secret(value),
            good_until=fetched + life - min(MARGIN, life * 0.2),
            fetched=fetched,
            after_refusal=after_refusal,
            cost=cost,
        )


def read_payload(token: str) -> dict[str, Any] | None:
    """What a JWT says of itself; None when it is unreadable. Its signature is the cloud's business."""
    part = token.split(".")[1].rstrip("=")
    try:
        payload = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def organizations_of(payload: Mapping[str, Any]) -> frozenset[str]:
    """The organizations that a token names: `oid` is a list or an object (mcp `jwt_parser.go`)."""
    named = payload.get("oid")
    if isinstance(named, str):
        return frozenset((named,))
    if isinstance(named, dict | list):
        return frozenset(each for each in named if isinstance(each, str))
    return frozenset()


def _life(exp: object, now: float) -> float:
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not math.isfinite(exp):
        return _UNSAID
    # A clock that is far off must not make every request fetch a token: a 401 tells the truth anyway.
    return min(max(exp - now, 10.0), _LONGEST)


def _purpose(scope: Scope) -> str:
    if scope.kind == "organization":
        return f"for organization {scope.oid}"
    return "for all organizations" if scope.kind == "all" else "for the user's identity"


def _look_at(task: "asyncio.Task[Token]") -> None:
    if not task.cancelled():
        task.exception()
