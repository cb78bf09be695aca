"""One request as an endpoint sees it, the refusals it can answer with, and the table of endpoints."""

import base64
import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import orjson
from aiohttp import web

from console.sandbox.organizations import Organization
from console.sandbox.sensors import Sensor
from console.sandbox.tokens import Claims
from console.sandbox.world import World

if TYPE_CHECKING:
    from console.sandbox.server import Sandbox

REPLAY = "/ (replay)"
"""How the replay is called, which has the address of the token service and takes JSON."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Refusal(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body: dict[str, Any] = {"error": error, **more}


def not_found() -> Refusal:
    """An organization, sensor, group or path that is not there."""
    return Refusal(404, "not found")


def missing(*permissions: str) -> Refusal:
    """A privilege that the token lacks: 401 with its name (docs/7-administration/access/api-keys.md)."""
    return Refusal(401, f"unauthorized: missing privilege named {' or '.join(permissions)}")


def hive_error(code: str, detail: str) -> Refusal:
    """Hive failures are all 400 with the code inside the text (official client 5.10.1, sdk/hive.py)."""
    return Refusal(400, f"lc_error_code:{code} - {detail}")


def packed(value: object) -> str:
    """base64(gzip(JSON)), as `is_compressed` fields are."""
    return base64.b64encode(gzip.compress(orjson.dumps(value), compresslevel=1, mtime=0)).decode()


@dataclass(slots=True)
class Call:
    """One request."""

    sandbox: "Sandbox"
    world: World
    method: str
    raw_path: str
    query_text: str
    body: bytes
    content_type: str
    authorization: str
    peer: str
    request: web.BaseRequest | None = None
    """For endpoints that answer with a stream of their own; its body was read already."""
    template: str = ""
    params: dict[str, str] = field(default_factory=dict)
    claims: Claims | None = None
    oid: str = ""
    fault: str = ""
    """What was put in its way."""
    carried_out: bool = False
    """It was, and with success, whatever was answered."""
    _query: dict[str, list[str]] | None = None
    _form: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """The query, each name with all its values."""
        if self._query is None:
            self._query = parse_qs(self.query_text, keep_blank_values=True) if self.query_text else {}
        return self._query

    @property
    def form(self) -> dict[str, list[str]]:
        """The body as a form; of a JSON object its values as text, for clients that send that."""
        if self._form is None:
            if "json" in self.content_type:
                loaded = self.json()
                self._form = {
                    name: [
                        each if isinstance(each, str) else orjson.dumps(each).decode()
                        for each in (value if isinstance(value, list) else [value])
                    ]
                    for name, value in (loaded if isinstance(loaded, dict) else {}).items()
                }
            else:
                try:
                    self._form = parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=100_000)
                except ValueError:
                    raise Refusal(400, "bad form") from None
        return self._form

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Refusal: 400.
        """
        try:
            return orjson.loads(self.body)
        except ValueError:
            raise Refusal(400, "bad JSON") from None

    def asked(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return self.query.get(name, (default,))[0]

    def sent(self, name: str, default: str = "") -> str:
        """A value of the form."""
        return self.form.get(name, (default,))[0]

    def either(self, name: str) -> str | None:
        """A value of the form or, as some clients send it, of the query."""
        return self.form.get(name, self.query.get(name, (None,)))[0]

    def flag(self, name: str) -> bool:
        """A boolean of the query; clients write true, True and 1."""
        return self.asked(name).lower() in ("true", "1", "yes")

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number of the query.

        Raises:
            Refusal: 400 when it is missing without a default, or not a number.
        """
        text = self.asked(name)
        if not text:
            if default is None:
                raise Refusal(400, f"missing parameter {name}")
            return default
        try:
            return int(float(text))
        except (ValueError, OverflowError):
            raise Refusal(400, f"bad parameter {name}") from None

    def token(self) -> Claims:
        """The claims of the caller.

        Raises:
            Refusal: 401 without a token; only an open endpoint can meet that.
        """
        if self.claims is None:
            raise Refusal(401, "unauthorized")
        return self.claims

    def user(self) -> Claims:
        """The caller, who must be a person.

        Raises:
            Refusal: 401 for an organization's key.
        """
        claims = self.token()
        if not claims.uid:
            raise Refusal(401, "unauthorized: only user-based identities are allowed to use this")
        return claims

    def allows(self, oid: str, *permissions: str) -> bool:
        """Whether the caller holds any of the permissions there."""
        held = self.token().permissions.get(oid)
        return held is not None and any(permission in held for permission in permissions)

    def organization(self, *permissions: str) -> Organization:
        """The organization of the path, of which one of the permissions is needed.

        Raises:
            Refusal: 404, 401.
        """
        return self.reach(self.params["oid"], *permissions)

    def reach(self, oid: str, *permissions: str) -> Organization:
        """An organization, of which one of the permissions is needed.

        Raises:
            Refusal: 404, 401.
        """
        organization = self.world.by_oid.get(oid)
        if organization is None:
            raise not_found()
        if organization is self.world.unauthorized:
            raise Refusal(401, "unauthorized")
        if permissions and not self.allows(organization.oid, *permissions):
            raise missing(*permissions)
        return organization

    def record(
        self,
        organization: Organization,
        etype: str,
        message: str,
        *,
        entity: dict[str, Any] | None = None,
        mtd: dict[str, Any] | None = None,
    ) -> None:
        """Put what the caller changed into the organization's audit log, under the caller's identity.

        Args:
            etype: as the platform calls it where that is known (`hive_set`, `remove_sensor`), else
                `config_change`.
            entity: {"type", "name"} of what was changed.
            mtd: more of it.
        """
        self.world.note(organization, etype, self.token().ident, message, entity=entity or {}, mtd=mtd or {})

    def sensor(self, *permissions: str) -> tuple[Organization, Sensor]:
        """The sensor of the path, in an organization where one of the permissions is held.

        Raises:
            Refusal: 404, 401.
        """
        found = self.world.sensor_by_sid(self.params["sid"])
        if found is None:
            raise not_found()
        self.oid = found[0].oid
        return self.reach(found[0].oid, *permissions), found[1]


Handler = Callable[[Call], object]
"""Answers with what becomes JSON (or is it already, as bytes), with a response of its own, or with an
awaitable of either."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table of endpoints."""

    method: str
    template: str
    handler: Handler
    open: bool
    """Answers without a token."""


@dataclass(slots=True)
class _Branch:
    words: dict[str, "_Branch"] = field(default_factory=dict)
    uuid: "tuple[str, _Branch] | None" = None
    any: "tuple[str, _Branch] | None" = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


class Table:
    """All endpoints, found by method and raw path.

    Segments are compared before they are unquoted, for a record's key may hold an encoded slash. A word
    goes before a UUID, and a UUID before anything else, so that `/v1/{sid}` does not swallow `/v1/groups`.
    """

    def __init__(self) -> None:
        self._root = _Branch()
        self.endpoints: list[Endpoint] = []

    def add(self, method: str, template: str, *, open: bool = False) -> Callable[[Handler], Handler]:  # noqa: A002
        """Declare an endpoint. `{oid}`, `{sid}`, `{gid}`, `{iid}` take a UUID, other names anything."""

        def declare(handler: Handler) -> Handler:
            branch = self._root
            for segment in template.strip("/").split("/"):
                name = segment[1:-1]
                if not segment.startswith("{"):
                    branch = branch.words.setdefault(segment, _Branch())
                elif name in ("oid", "sid", "gid", "iid"):
                    branch.uuid = branch.uuid or (name, _Branch())
                    branch = branch.uuid[1]
                else:
                    branch.any = branch.any or (name, _Branch())
                    branch = branch.any[1]
            endpoint = Endpoint(method, template, handler, open)
            branch.endpoints[method] = endpoint
            self.endpoints.append(endpoint)
            return handler

        return declare

    def find(self, method: str, raw_path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint of a request, and the values of its names, unquoted."""
        return self._find(self._root, method, raw_path.strip("/").split("/"), 0)

    def _find(
        self, branch: _Branch, method: str, segments: list[str], place: int
    ) -> tuple[Endpoint, dict[str, str]] | None:
        if place == len(segments):
            endpoint = branch.endpoints.get(method)
            if endpoint is None:
                return None
            # Branches are shared by templates, so the names are this template's own.
            names = endpoint.template.strip("/").split("/")
            return endpoint, {
                name[1:-1]: unquote(segment)
                for name, segment in zip(names, segments, strict=True)
                if name.startswith("{")
            }
        segment = segments[place]
        below = branch.words.get(segment)
        if below is not None:
            found = self._find(below, method, segments, place + 1)
            if found is not None:
                return found
        if branch.uuid is not None and len(segment) == 36 and _UUID.fullmatch(segment):
            found = self._find(branch.uuid[1], method, segments, place + 1)
            if found is not None:
                return found
        if branch.any is not None:
            return self._find(branch.any[1], method, segments, place + 1)
        return None


table = Table()
"""Filled by the modules of `console.sandbox.endpoints`."""
