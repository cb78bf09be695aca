"""A rollout over forty organizations whose process dies: at any commit, and at any request.

A death in this process skips all cleanup: from that moment on nothing is written and nothing is sent any more,
whatever still runs. What was on its way arrives. `tests.helpers.applying` kills real processes.
"""

import asyncio
import copy
import itertools
import shutil
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import insert

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.limacharlie.transport import Answer, Call, Transport
from console.operations import records, rollouts
from console.operations.gates import CloudGates
from console.operations.sync import Sync
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store import journal, models
from store.database import TOUCHED, Store
from store.rollouts import keeping, plans, work
from store.secret import Secret
from store.templates import library
from store.tree import TreeNode, replace_tree

KEY = b"k" * 32
NOW = 1_795_176_000_000
ORGANIZATIONS = 41
"""One of them refuses everybody."""
WAVES = ("1", "9", "12", "rest")
HOLDER_PID = 2**22 + 1
"""No process of this machine has it."""

WANTED = {
    "added": "hives:\n  fp:\n    scanner: {data: {op: is, path: cat, value: new}, usr_mtd: {enabled: true, tags: [ours]}}\n",
    "changed": "hives:\n  fp:\n    known: {data: {op: is, path: cat, value: new}, usr_mtd: {enabled: true, tags: [ours]}}\n",
    "secret": "hives:\n  secret:\n    token: {data: {secret: new-value}, usr_mtd: {enabled: true, comment: new}}\n",
    "output": "outputs:\n  siem: {module: syslog, for: detect, dest_host: 'siem.example.com:514'}\n",
    "key": "installation_keys:\n  Fleet: {desc: Fleet, tags: [fleet]}\n",
}  # fmt: skip
"""Each organization has one of these templates, in turn; and each loses the record `gone`."""
KINDS = tuple(WANTED)


class Died(BaseException):
    """The process is not there any more."""


@dataclass
class Life:
    """One process, up to its death."""

    at: int = 0
    """The point that it does not survive; 0 for none."""
    labels: list[str] = field(default_factory=list)
    """Of the points that it came by."""
    dead: bool = False
    edited: bool = False
    events: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What somebody else does at a point."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def point(self, label: str) -> None:
        """Come by one."""
        with self._lock:
            if self.dead:
                raise Died
            self.labels.append(label)
            number = len(self.labels)
            if number in self.events:
                self.events[number]()
                self.edited = True
            if number == self.at:
                self.dead = True
                raise Died

    @contextmanager
    def living(self) -> Iterator[None]:
        """What this process writes and sends comes by its points."""
        writing, send = Store.writing, Transport.send

        @contextmanager
        def counted(store: Store) -> Iterator[Any]:
            tables: set[str] = set()
            with writing(store) as connection:
                yield connection
                tables = set(connection.info[TOUCHED])
                self.point(f"before commit {_tables(tables)}")
            self.point(f"after commit {_tables(tables)}")

        async def sent(transport: Transport, call: Call, **options: Any) -> Answer:
            self.point(f"before {call.what}")
            try:
                return await send(transport, call, **options)
            finally:
                self.point(f"after {call.what}")

        with patch.object(Store, "writing", counted), patch.object(Transport, "send", sent):
            yield


def _tables(tables: set[str]) -> str:
    return " ".join(sorted(tables - {"journal"}))


def _record(data: Any, number: int, **metadata: Any) -> dict[str, Any]:
    return {
        "data": data,
        "usr_mtd": {"enabled": True, "expiry": 0, "tags": [], "comment": "", **metadata},
        "sys_mtd": {
            "etag": f"{number:032x}", "guid": f"guid{number}", "created_by": "ada@example.com",
            "created_at": 1_700_000_000, "last_author": "ada@example.com", "last_mod": 1_700_000_000,
            "last_error": "", "last_error_ts": 0,
        },
    }  # fmt: skip


def world() -> World:
    """Forty-one organizations with what the templates will change."""
    made = World(seed=3, orgs=ORGANIZATIONS, detections=0, now_ms=NOW)
    for number, one in enumerate(made.organizations):
        put = made.put_record
        put(
            one,
            "fp",
            "known",
            _record({"op": "is", "path": "cat", "value": "old"}, number * 4, tags=["theirs"]),
        )
        put(one, "fp", "gone", _record({"op": "is", "path": "cat", "value": "gone"}, number * 4 + 1))
        if number % 2:
            put(one, "secret", "token", _record({"secret": "old-value"}, number * 4 + 2))
            made.configuration.set_output(
                one,
                "siem",
                {"name": "siem", "module": "syslog", "for": "detect", "dest_host": "old.example.com:514"},
            )
    return made


def foreign(world_: World, oid: str) -> Callable[[], None]:
    """Somebody else changes a record of an organization."""

    def edit() -> None:
        one = world_.by_oid[oid]
        held = copy.deepcopy(dict(world_.configuration.records(one, "fp")["known"]))
        held["data"] = {"op": "is", "path": "cat", "value": "foreign"}
        held["sys_mtd"] |= {"etag": "f" * 32, "last_author": "eve@example.com"}
        world_.put_record(one, "fp", "known", held)

    return edit


def state(world_: World) -> dict[str, Any]:
    """What the organizations have of what the templates want."""
    found = {}
    for one in world_.organizations:
        held = world_.configuration
        found[one.oid] = {
            "fp": {name: (each["data"], each["usr_mtd"]) for name, each in held.records(one, "fp").items()},
            "secret": {
                name: (each["data"], each["usr_mtd"]) for name, each in held.records(one, "secret").items()
            },
            "outputs": held.outputs(one),
            "keys": sorted((key["desc"], str(key["tags"])) for key in held.installation_keys(one).values()),
        }
    return copy.deepcopy(found)


@dataclass
class Stage:
    """What every run begins with."""

    store: Path
    plan: int
    wave: dict[str, int]
    """By organization."""
    kind: dict[str, str]
    home: Path


@dataclass
class Run:
    """A sandbox, a copy of the store, and the processes that come and go over it."""

    stage: Stage
    served: Sandbox
    store: Path
    engine: Callable[..., Any]
    labels: list[str] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)

    async def life(self, life: Life, *, resume: bool = False) -> rollouts.Outcome | None:
        """One process applies the plan, or carries on; None when it died."""
        me = f"{socket.gethostname()}:{HOLDER_PID}:0:{next(_NUMBERS)}"
        store = Store(f"sqlite:///{self.store}")
        try:
            with (
                patch.object(rollouts, "holder", lambda: me),
                patch.object(rollouts, "PATIENCE", 0.01),
                life.living(),
            ):
                async with cloud(self.served) as found:
                    try:
                        return await self.engine(
                            self.stage.plan, store=store, cloud=found, key=KEY, operator="me",
                            gates=CloudGates(store=store, cloud=found, clock=lambda: NOW),
                            now=lambda: NOW, approved=lambda c, plan: "",
                        )  # fmt: skip
                    except BaseException as error:
                        if not life.dead or not _is_death(error):
                            raise
                        return None
        finally:
            self.labels += life.labels
            # What was on its way when it died arrives.
            await asyncio.sleep(0.02)
            store.close()

    def steps(self) -> list[keeping.Step]:
        """As they stand."""
        store = Store(f"sqlite:///{self.store}")
        try:
            with store.reader.reading() as c:
                assert journal.verify(c) is None
                return list(keeping.steps(c, self.stage.plan))
        finally:
            store.close()

    def plan(self) -> keeping.Plan:
        """As it stands."""
        store = Store(f"sqlite:///{self.store}")
        try:
            with store.reader.reading() as c:
                return keeping.load(c, self.stage.plan)
        finally:
            store.close()

    def effects(self) -> list[tuple[str, str, str]]:
        """(oid, method, path) of each change that was carried out, in their order."""
        return [
            (entry.oid, entry.method, entry.path.partition("?")[0])
            for entry in self.served.log.entries
            if entry.effect and entry.method in ("POST", "PUT", "DELETE") and entry.template != "/"
        ]

    def twice(self) -> list[tuple[str, str, str]]:
        """The changes that were carried out more than once."""
        return [each for each, number in Counter(self.effects()).items() if number > 1]


_NUMBERS = itertools.count()


def _is_death(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_death, error.exceptions))
    return isinstance(error, Died | asyncio.CancelledError)


@asynccontextmanager
async def cloud(served: Sandbox) -> AsyncIterator[Cloud]:
    """The sandbox as its root administrator sees it, with little patience."""
    root = served.world.access.users[served.world.access.root]
    deadlines = Deadlines(connect=1.0, read=0.2, total=5.0, backoff=0.01)
    async with Cloud(
        UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url), deadlines=deadlines,
        limits=Limits.unlimited(),
    ) as found:  # fmt: skip
        yield found


@asynccontextmanager
async def serving(made: World) -> AsyncIterator[Sandbox]:
    """A sandbox over a world."""
    served = Sandbox(made)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


async def prepared(home: Path) -> Stage:
    """The store with the plan, read from the world."""
    path = home / "prepared.db"
    store = Store(f"sqlite:///{path}")
    async with serving(world()) as served:
        root = served.world.access.users[served.world.access.root]
        # Reading all of it takes longer than the deadlines of a rollout in a test allow.
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url)) as found:
            await Sync(store=store, cloud=found, redaction_key=KEY, only=("orgs", "config")).run()
        oids = [one.oid for one in served.world.organizations]
    with store.writing() as c:
        kind = {oid: KINDS[number % len(KINDS)] for number, oid in enumerate(oids)}
        nodes = [TreeNode(id="root", parent=None, name="All")]
        nodes += [TreeNode(id=f"o{n}", parent="root", name=f"O{n}", oid=oid) for n, oid in enumerate(oids)]
        replace_tree(c, nodes)
        for name, text in WANTED.items():
            library.put(c, name, "main.yaml", {"main.yaml": f"version: 3\n{text}".encode()}, now=NOW)
        for number, oid in enumerate(oids):
            library.assign(c, f"o{number}", kind[oid], now=NOW)
        owned = models.TemplateOwned.__table__  # type: ignore[attr-defined]
        c.execute(
            insert(owned),
            [
                {"oid": oid, "section": "hive/fp", "name": "gone", "template": "old", "version": 1, "hash": "",
                 "metadata": None, "plan_id": 0, "at": NOW}
                for number, oid in enumerate(oids) if number % 4 == 0
            ],
        )  # fmt: skip
    with store.reader.reading() as c:
        drafted = plans.drafted(c, scope="", key=KEY)
    with store.writing() as c:
        plan = keeping.keep(
            c, drafted, title="t", by="me", now=NOW, words=WAVES, options={"budget": 3, "pause": 0, "soak": 0}
        )
    with store.reader.reading() as c:
        wave = {each.change.oid: each.wave for each in keeping.steps(c, plan)}
    store.close()
    return Stage(path, plan, wave, kind, home)


def _copied(stage: Stage) -> Path:
    copied = stage.home / "copy.db"
    for ending in ("", "-wal", "-shm"):
        Path(f"{copied}{ending}").unlink(missing_ok=True)
    shutil.copy(stage.store, copied)
    return copied


@asynccontextmanager
async def running(stage: Stage, engine: Callable[..., Any] = rollouts.apply) -> AsyncIterator[Run]:
    """A run from the beginning."""
    copied = _copied(stage)
    async with serving(world()) as served:
        yield Run(stage, served, copied, engine)


async def naive(
    plan_id: int, *, store: Store, cloud: Cloud, key: bytes, operator: str, now: Callable[[], int], **_: Any
) -> rollouts.Outcome:
    """An engine as one would write it first: sends, and writes down that it has sent."""

    def write(do: Callable[[Any], None]) -> None:
        with store.writing() as c:
            do(c)

    with store.reader.reading() as c:
        steps = list(keeping.steps(c, plan_id))
        placed = {each.oid: each for each in rollouts.wanted(c, "", key)}
    for step in steps:
        change = step.change
        if step.outcome != "waiting":
            continue
        handle = cloud.organization(change.oid)
        current = await records.read(handle, change.section, change.name)
        if change.after is None:
            if current is not None:
                await records.remove(handle, change.section, change.name, current)
        else:
            body, metadata = rollouts.body_of(placed[change.oid], change.key)
            await records.write(handle, change.section, change.name, body, metadata, current)
        await asyncio.to_thread(
            write, lambda c, seq=step.seq: work.settle(c, plan_id, seq, "applied", now=now())
        )
    return rollouts.Outcome(plan_id, "done", len(steps), (), "")
