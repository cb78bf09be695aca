"""What a sandbox has become since its seed, as one file: its shape, how it is written, how it is read.

What nobody changed is not in it: the seed makes it again, and `Origin.likeness` says whether it still makes
the same. Organizations are named by their oids, sensors by their sids, so that the file can be looked
into beside the API's answers, and what is large stands on a line of its own, so that two files can be
compared line by line. The same state is the same bytes.

A file is a stranger's: nothing of it is believed before all of it was looked at, here by its shape and in
`resume` of each part by what it means.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
import orjson

from console.sandbox.chance import numbered_uuid, numbers_of
from console.sandbox.organizations import Organization

FORMAT = "limegrove sandbox snapshot"
VERSION = 1
MOST_BYTES = 256 * 1024 * 1024
MOST_ORGANIZATIONS = 100_000
"""Of the seed: as many are made in some seconds, and whoever hands a file over decides how many."""
DEEPEST = 100
"""Levels of objects and lists; the writer of the API's answers ends at 254."""
LINE, ROW = 100, 800
"""Bytes up to which something is written on one line; up to which a row is, with nothing deep in it."""
MEMBERS = 60
"""Of all levels together, up to which something is written on one line."""

Value = dict[str, Any]
V = TypeVar("V")
S = TypeVar("S")

Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]
"""Milliseconds, UTC, up to the year 9999."""
Second = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
Clock = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds, UTC, of the machine."""
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Digits = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,320}$")]
"""A whole number of any size, as clients may send one."""


class BadSnapshot(ValueError):
    """No snapshot that can be served; the text says what is wrong and where, in one sentence."""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of the file; it has no names but these."""


class Sparse(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A part of which only that is written which is not as usual."""


class Origin(Part):
    """Out of what the seed makes all that nobody changed."""

    seed: int
    orgs: Annotated[int, msgspec.Meta(ge=1, le=MOST_ORGANIZATIONS)]
    detections: Annotated[int, msgspec.Meta(ge=0, le=1 << 24)]
    now_ms: Moment
    likeness: str
    """A digest of a small provider of that seed: another one when a newer version invents otherwise."""


class Serving(Part):
    """How it is served."""

    latency: Annotated[float, msgspec.Meta(ge=0, le=60_000)]
    rate_quota: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    rate_period: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    live_rate: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
    storm_after: Annotated[float, msgspec.Meta(ge=0, le=1e7)] | None
    storm: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None


class Applied(Part):
    """A fault, and what became of it."""

    rule: Value
    matched: Count
    applied: Count


class Window(Part):
    """What a credential has used of its rate."""

    since: Moment
    used: Count


class Made(Part):
    """An organization that somebody made: what it was made with."""

    oid: str
    name: str
    site: str
    created: Second
    creator: str


class Told(Part):
    """What somebody changed of an organization's record, and what stands beside it."""

    name: str
    description: str
    limit: Annotated[int, msgspec.Meta(ge=0, lt=10**9)] | None
    version: str


class Group(Part):
    """An Organization Group, whole."""

    gid: str
    name: str
    owners: list[str]
    members: list[str]
    permissions: list[str]
    holds: list[int]
    """Places in the list of organizations."""
    log: list[Value]


class Key(Part):
    """An API key that somebody made."""

    secret: str
    key_hash: str
    name: str
    permissions: list[str]
    by: str
    allowed_ip_range: str


class Access(Part):
    """Who may do what."""

    people: list[str]
    """Those that the seed does not know, in the order in which they came."""
    groups: list[Group]
    granted: dict[str, dict[str, list[str]]]
    keys: dict[str, list[Key]]
    keys_gone: list[str]
    keys_used: dict[str, Second]
    made: Count


class Configured(Sparse):
    """What somebody changed in one organization. null, false and "" stand for taken away."""

    extensions: dict[str, bool] = {}
    resources: list[tuple[str, str, bool]] = []
    values: dict[str, str] = {}
    outputs: dict[str, Value | None] = {}
    installation_keys: dict[str, Value | None] = {}
    ingestion_keys: dict[str, str | None] = {}
    yara_sources: dict[str, str | None] = {}
    records: dict[str, dict[str, Value | None]] = {}
    stamps: list[tuple[str, str, str, Moment]] = []


class Configuration(Part):
    """What is deployed."""

    writes: Count
    definitions: dict[str, Value]
    """The extensions that somebody published."""
    changes: dict[str, Configured]


class Machine(Sparse):
    """What somebody did to one sensor."""

    tags: dict[str, tuple[str, Second]] | None = None
    ends: dict[str, Whole] = {}
    isolated: bool | None = None
    should_isolate: bool | None = None
    sealed: bool | None = None
    should_seal: bool | None = None
    removed: Moment = 0
    done: list[str] = []


class Fleet(Part):
    """What somebody did to sensors."""

    sensors: dict[str, Machine]
    """By sid."""
    removed: list[str]
    """In the order of their deletion."""


class Detections(Part):
    """What came after the past: each with its time and the key of its rule, and what rules reported."""

    live: dict[str, list[tuple[Moment, str]]]
    fired: dict[str, Value]
    """By detect_id."""


class Case(Part):
    """One case, whole."""

    number: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    case_id: str
    created_at: Moment
    severity: str
    status: str
    classification: str
    assignees: list[str]
    tags: list[str]
    summary: str
    conclusion: str
    acknowledged_at: Moment | None
    resolved_at: Moment | None
    closed_at: Moment | None
    merged_into: str | None
    detections: list[Value]
    events: list[Value]
    entities: list[Value]
    telemetry: list[Value]
    artifacts: list[Value]
    time_logs: list[Value]


class Cases(Part):
    """The cases that were touched, and those that came later."""

    kept: dict[str, list[Case]]
    emptied: list[str]
    configs: dict[str, Value]
    ingested: dict[str, list[Moment]]
    taken: dict[str, Count]
    count: Count


class Search(Part):
    """A search that is open."""

    query_id: str
    oid: str
    query: str
    stream: str
    start: Digits
    end: Digits
    ident: str
    agent: str
    size: Count
    submitted: Clock
    active: Clock
    pages: Count
    scanned: Count
    matched: Count
    bytes: Count
    walltime: Clock
    more: bool | None


class Payload(Part):
    """A file; its content is base64."""

    name: str
    content: bytes
    by: str
    created: Second


class Ticket(Part):
    """What an address of a payload allows."""

    key: str
    oid: str
    name: str
    by: str
    upload: bool
    ends: Moment


class World(Part):
    """The provider."""

    clock: Moment
    """Its time when the snapshot was taken; from there it goes on."""
    made: list[Made]
    told: dict[str, Told]
    deleted: list[str]
    confirmations: dict[str, str]
    audit: dict[str, list[Value]]
    failing_since: dict[str, dict[str, Second]]
    dismissed: dict[str, list[str]]
    schemas_since: dict[str, Moment]
    access: Access
    configuration: Configuration
    fleet: Fleet
    answers: dict[str, list[Value]]
    """What sensors answered to tasks, by sid."""
    detections: Detections
    cases: Cases
    searches: list[Search]
    payloads: dict[str, list[Payload]]
    tickets: list[Ticket]
    jobs: dict[str, dict[str, Value]]


class Snapshot(Part, kw_only=True):
    """The file."""

    format: str = FORMAT
    version: int = VERSION
    program: str
    """The version of limegrove that wrote it."""
    origin: Origin
    serving: Serving
    tokens: bytes
    """The key that tokens are signed with, base64."""
    faults: list[Applied]
    windows: dict[str, Window]
    world: World


# Shapes of what the API takes and shows as it is: what the sandbox itself looks for in it


class Stored(msgspec.Struct):
    """A hive's record."""

    class User(msgspec.Struct):
        """`usr_mtd`."""

        enabled: bool
        expiry: Whole
        tags: list[str] | None
        comment: str

    class System(msgspec.Struct):
        """`sys_mtd`."""

        etag: str
        guid: str
        created_by: str
        created_at: Second
        last_author: str
        last_mod: Second

    data: Value
    usr_mtd: User
    sys_mtd: System


class Entry(msgspec.Struct):
    """An entry of an audit log."""

    oid: str
    ts: str
    time: Moment
    etype: str
    ident: str
    entity: dict[str, str]
    mtd: Value


class Output(msgspec.Struct):
    """An output; its options are text beside these."""

    name: str
    module: str
    for_: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="for")


class InstallationKey(msgspec.Struct):
    """An installation key."""

    iid: str
    desc: str
    key: str
    json_key: str
    tags: str
    created: Second
    use_public_root_ca: bool


class Extension(msgspec.Struct):
    """What somebody published."""

    name: str
    owner: str


class Routed(msgspec.Struct):
    """An event of a sensor."""

    class Routing(msgspec.Struct):
        """Its routing."""

        oid: str
        sid: str
        event_type: str
        event_time: Moment
        this: str

    event: Value
    routing: Routing
    ts: str


class Reported(msgspec.Struct):
    """What a rule reported."""

    cat: str
    detect: Routed
    routing: Routed.Routing
    detect_id: str
    gen_time: Moment
    ts: Moment
    source: str


class Linked(msgspec.Struct):
    """A detection that is linked to a case."""

    detect_id: str
    cat: str
    detection_cat: str
    source: str
    sid: str
    hostname: str
    added_at: str


class Happened(msgspec.Struct):
    """An event of a case's timeline."""

    event_id: str
    action: str
    by: str
    ts: str
    metadata: Value


class Entity(msgspec.Struct):
    """An indicator of a case."""

    entity_id: str
    entity_type: str
    entity_value: str
    verdict: str
    note: str
    added_by: str
    added_at: str


class Telemetry(msgspec.Struct):
    """An event that a case refers to."""

    telemetry_id: str
    atom: str
    sid: str
    event_type: str
    verdict: str
    note: str


class Artifact(msgspec.Struct):
    """An artifact that a case refers to."""

    artifact_id: str
    path: str
    source: str


class TimeLog(msgspec.Struct):
    """Time that was logged for a case."""

    time_log_id: str
    billable_seconds: Whole
    added_by: str
    added_at: str


class Job(msgspec.Struct):
    """A job."""

    job_id: str
    oid: str
    sid: str
    ts: Second


class Action(msgspec.Struct):
    """An entry of a group's log."""

    action: str
    actor: str
    ts: Second


def shaped(shape: type[S], value: object, where: str) -> S:
    """A value as one of the shapes above.

    Raises:
        BadSnapshot: it has another.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise BadSnapshot(f"{where}: {_said(error)}") from None


def _said(error: Exception) -> str:
    return str(error)[:300].rstrip(".")


class Places:
    """Which organization stands where: the file says oids, the sandbox counts."""

    def __init__(self, seed: int, organizations: list[Organization]) -> None:
        self._seed = seed
        self._organizations = organizations
        self._by_oid = {one.oid: one for one in organizations}

    def named(self, by_index: Mapping[int, V]) -> dict[str, V]:
        """The same by oid, in the order of the organizations."""
        return {self._organizations[index].oid: by_index[index] for index in sorted(by_index)}

    def oids(self, indexes: Iterable[int]) -> list[str]:
        """Their oids, in the order of the organizations."""
        return [self._organizations[index].oid for index in sorted(indexes)]

    def organization(self, oid: str, where: str) -> Organization:
        """The organization of an oid.

        Raises:
            BadSnapshot: there is none.
        """
        found = self._by_oid.get(oid)
        if found is None:
            raise BadSnapshot(f"{where}: there is no organization {oid[:64]}")
        return found

    def index(self, oid: str, where: str) -> int:
        """The place of an oid.

        Raises:
            BadSnapshot: there is none.
        """
        return self.organization(oid, where).index

    def placed(self, by_oid: Mapping[str, V], where: str) -> dict[int, V]:
        """The same by place.

        Raises:
            BadSnapshot: one is no organization.
        """
        return {self.index(oid, where): value for oid, value in by_oid.items()}

    def holds(self, index: int, where: str) -> int:
        """A place that there is.

        Raises:
            BadSnapshot: there is none.
        """
        if not 0 <= index < len(self._organizations):
            raise BadSnapshot(f"{where}: there is no organization in place {index}")
        return index

    def sid(self, index: int, number: int) -> str:
        """The id of a sensor."""
        return numbered_uuid(self._seed, "sid", index, number)

    def sensor(self, sid: str, where: str) -> tuple[int, int]:
        """The organization's place and the number of a sensor.

        Raises:
            BadSnapshot: there is none of that id.
        """
        found = numbers_of(self._seed, "sid", sid)
        if (
            found is None
            or found[0] >= len(self._organizations)
            or found[1] >= self._organizations[found[0]].sensors
        ):
            raise BadSnapshot(f"{where}: there is no sensor {sid[:64]}")
        return found


def copied(snapshot: Snapshot) -> Value:
    """All that it says, apart from the sandbox that it was taken of, which goes on and changes its own."""
    copy: Value = msgspec.to_builtins(snapshot)
    return copy


def dumps(copy: Value) -> bytes:
    """The file.

    Args:
        copy: of a snapshot; this takes a second for 30 MB, and may take it in a thread.

    Raises:
        BadSnapshot: it would be larger than is read, or holds text that is none.
    """
    try:
        whole = _laid(copy, b"\n") + b"\n"
    except TypeError as error:
        raise BadSnapshot(f"something in this sandbox cannot be written as JSON: {_said(error)}") from None
    if len(whole) > MOST_BYTES:
        raise BadSnapshot(f"it would be {len(whole):,} bytes, and a snapshot has at most {MOST_BYTES:,}")
    return whole


def _laid(value: Any, margin: bytes) -> bytes:
    """JSON, a member to the line where it is too long for one."""
    if not isinstance(value, dict | list):
        return orjson.dumps(value)
    if _is_small(value):
        flat = orjson.dumps(value)
        if len(flat) <= LINE or (len(flat) <= ROW and _is_row(value)):
            return flat
    inner = margin + b" "
    if isinstance(value, dict):
        members = [orjson.dumps(name) + b": " + _laid(each, inner) for name, each in value.items()]
        return b"{" + inner + (b"," + inner).join(members) + margin + b"}"
    if not any(isinstance(each, dict | list) for each in value):
        return orjson.dumps(value)
    return b"[" + inner + (b"," + inner).join(_laid(each, inner) for each in value) + margin + b"]"


def _is_small(value: dict[str, Any] | list[Any]) -> bool:
    """Whether it is worth writing on one line at all, for less than writing it costs."""
    left = MEMBERS
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for each in level:
            left -= len(each)
            if left < 0:
                return False
            inside = each.values() if isinstance(each, dict) else each
            below.extend(one for one in inside if isinstance(one, dict | list))
        level = below
    return True


def _is_row(value: dict[str, Any] | list[Any]) -> bool:
    """Whether it is an object of texts, numbers, and small things of these."""
    return isinstance(value, dict) and not any(
        isinstance(inner, dict | list)
        for each in value.values()
        if isinstance(each, dict | list)
        for inner in (each.values() if isinstance(each, dict) else each)
    )


def loads(raw: bytes) -> Snapshot:
    """A file as it was read; what it means is looked at where it is taken up.

    Raises:
        BadSnapshot: it is none, of another version, or too large.
    """
    if len(raw) > MOST_BYTES:
        raise BadSnapshot(f"it is larger than {MOST_BYTES:,} bytes")
    try:
        whole = orjson.loads(raw)
    except ValueError as error:
        raise BadSnapshot(f"it is not JSON ({_said(error)})") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise BadSnapshot(f'it does not say "format": "{FORMAT}"')
    version = whole.get("version")
    if version != VERSION or isinstance(version, bool):
        raise BadSnapshot(
            f"it is of version {str(version)[:20]}, and this limegrove reads version {VERSION}: "
            "use the limegrove that wrote it"
        )
    if not _is_shallow(whole):
        raise BadSnapshot(f"it is nested more than {DEEPEST} levels deep")
    try:
        return msgspec.convert(whole, Snapshot)
    except msgspec.ValidationError as error:
        raise BadSnapshot(_said(error)) from None


def _is_shallow(whole: object) -> bool:
    level: list[Any] = [whole]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            inside = each.values() if isinstance(each, dict) else each
            below.extend(one for one in inside if isinstance(one, dict | list))
        if not below:
            return True
        level = below
    return False
