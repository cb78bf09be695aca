"""The organizations summed up: what is brought up to date equals what is counted from scratch."""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import delete, select, text

from console.operations import triage
from store import alertremoval, ingest
from store.database import Store
from store.errors import StoreUnavailable
from store.freshness import STALE_AFTER
from store.handover import waiting_for
from store.models import (
    ApiKey,
    CaseRecord,
    Detection,
    Node,
    Organization,
    OrganizationError,
    Sensor,
    SyncState,
)
from store.queries.rollup import HOURS, NAMED, Rollup
from store.queries.standing import COUNTED, HOUR, SILENT, SOON, STALE_KEY
from store.tree import TreeNode, replace_tree
from store.triage import Selection
from tests.helpers.screens import NOW, detection, oid_of
from tests.helpers.soak import rounds

OPERATOR = "kim"
MANY = 9
DAY = 24 * HOUR


class World:
    """A store, and one thing after another that happens to it."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.now = NOW
        self.alerts = 0
        self.said: list[str] = []
        with store.writing() as c:
            listed = [{"oid": oid_of(n), "name": f"Org {n}", "sensor_quota": 5} for n in range(6)]
            ingest.put_organizations(c, listed, complete=True, now=NOW)
        self.grow()

    def oid(self) -> str:
        return oid_of(self.chance.randrange(MANY))

    def step(self) -> None:
        """One thing of many."""
        do: Callable[[], object] = self.chance.choice(
            (
                self.alert, self.alert, self.alert, self.decide, self.decide, self.snooze, self.wait, self.wait,
                self.read, self.read, self.fail, self.sensors, self.keys, self.errors, self.quota, self.case,
                self.listing, self.grow, self.remove, self.clock, self.prune,
                self.prune,
            )
        )  # fmt: skip
        self.said.append(do.__name__)
        do()

    def alert(self) -> None:
        """Some come in, most of them of today."""
        oid, some = self.oid(), []
        for _ in range(self.chance.randrange(1, 5)):
            self.alerts += 1
            at = (
                self.now
                - self.chance.choice((0, 1000, HOUR, 5 * HOUR, 30 * HOUR))
                - self.chance.randrange(HOUR)
            )
            some.append(ingest.detection_from(detection(self.alerts, oid, at=at), oid))
        with self.store.writing() as c:
            ingest.put_detections(c, oid, some)

    def _ids(self) -> tuple[int, ...]:
        with self.store.reader.reading() as c:
            found = list(c.execute(select(Detection.id).where(Detection.status < 2)).scalars())
        return tuple(self.chance.sample(found, min(len(found), self.chance.randrange(1, 4))))

    def decide(self) -> None:
        """Claimed, released or closed."""
        if not (ids := self._ids()):
            return
        who, chosen = self.chance.choice((OPERATOR, "dana")), Selection(ids=ids)
        match self.chance.randrange(4):
            case 0:
                triage.claim(self.store, who, chosen, acknowledge=False, now=self.now)
            case 1:
                triage.claim(self.store, who, chosen, now=self.now)
            case 2:
                triage.release(self.store, who, chosen, now=self.now)
            case _:
                triage.close(self.store, who, chosen, 1, comment="seen", held=True, now=self.now)

    def snooze(self) -> None:
        """Hidden, or brought back."""
        if ids := self._ids():
            until = self.now + self.chance.choice((HOUR, DAY))
            triage.snooze(self.store, OPERATOR, Selection(ids=ids), until=until, held=True, now=self.now)

    def wait(self) -> None:
        """Time passes; what was snoozed comes back."""
        self.now += self.chance.choice((1, 60_000, 20 * 60_000, HOUR, 7 * HOUR, 3 * DAY, 40 * DAY))
        triage.wake_due(self.store, now=self.now)

    def read(self) -> None:
        """An organization is read."""
        with self.store.writing() as c:
            ingest.put_sync_state(c, self.oid(), "detections", checked_at=self.now, attempted_at=self.now)

    def fail(self) -> None:
        """Its reading fails."""
        subject = self.chance.choice(("detections", "organization", "sensors"))
        with self.store.writing() as c:
            ingest.put_sync_state(c, self.oid(), subject, attempted_at=self.now, failure="auth", reason="No.")

    def sensors(self) -> None:
        """Its sensors are listed."""
        listed = [
            {"sid": f"00000000-0000-4000-8000-{n:012}", "hostname": f"h{n}", "alive": (self.now - self.chance.choice((0, SILENT - 5000, SILENT + 5000))) // 1000}
            for n in range(self.chance.randrange(5))
        ]  # fmt: skip
        with self.store.writing() as c:
            ingest.put_sensors(c, self.oid(), listed)

    def keys(self) -> None:
        """Its keys are listed."""
        used = (
            None,
            self.now // 1000,
            (self.now - STALE_KEY + HOUR) // 1000,
            (self.now - STALE_KEY - HOUR) // 1000,
        )
        listed = {
            f"k{n}": {"name": "k", "priv": [], "last_used": self.chance.choice(used)}
            for n in range(self.chance.randrange(4))
        }
        with self.store.writing() as c:
            ingest.put_keys(c, self.oid(), listed, now=self.now)

    def errors(self) -> None:
        """Its standing errors are listed."""
        with self.store.writing() as c:
            some = [{"component": f"c{n}", "error": "no"} for n in range(self.chance.randrange(3))]
            ingest.put_errors(c, self.oid(), some)

    def quota(self) -> None:
        """What it uses is read."""
        with self.store.writing() as c:
            used, online = self.chance.choice((0.1, 4.9, 7.3)), self.chance.randrange(5)
            ingest.put_organization_facts(c, self.oid(), quota=5, quota_used=used, sensors_online=online)

    def case(self) -> None:
        """A case is opened or closed."""
        row = {
            "oid": self.oid(), "case_number": self.chance.randrange(1, 4),
            "status": self.chance.choice(("new", "in_progress", "closed")),
        }  # fmt: skip
        with self.store.writing() as c:
            ingest.put_case_row(c, row, now=self.now)

    def listing(self) -> None:
        """The listing names more, or fewer, or by another name."""
        some = self.chance.sample(range(MANY), self.chance.randrange(4, MANY + 1))
        listed = [{"oid": oid_of(n), "name": f"Org {self.chance.choice((n, 9 - n))}"} for n in some]
        with self.store.writing() as c:
            ingest.put_organizations(c, listed, complete=self.chance.random() < 0.5, now=self.now)

    def grow(self) -> None:
        """Another tree, with an organization below an organization, and some that have no place."""
        nodes = [
            TreeNode("root", None, "Provider"),
            TreeNode("eu", "root", "Europe"),
            TreeNode("us", "root", "US"),
        ]
        for n in self.chance.sample(range(MANY), self.chance.randrange(2, MANY)):
            above = self.chance.choice(["eu", "us", *(node.id for node in nodes if node.oid)])
            nodes.append(TreeNode(f"n{n}", above, f"Customer {n}", oid_of(n)))
        with self.store.writing() as c:
            replace_tree(c, nodes)

    def remove(self) -> None:
        """An organization is taken out of the store."""
        oid = self.oid()
        with self.store.writing() as c:
            c.execute(delete(Organization).where(Organization.oid == oid))

    def clock(self) -> None:
        """An alert's targets change."""
        with self.store.writing() as c:
            c.execute(
                text("UPDATE detection SET due_at = :due WHERE status < 2 AND id % 3 = :rest"),
                {
                    "due": self.now + self.chance.choice((-HOUR, HOUR // 2, HOUR * 5)),
                    "rest": self.chance.randrange(3),
                },
            )
            self.store.touched("detection")

    def prune(self) -> None:
        """Alerts are taken out, old or not, open or not; numbers may be given again."""
        with self.store.writing() as c:
            found = c.execute(select(Detection.id, Detection.oid).order_by(Detection.id)).all()
            some = self.chance.sample(found, min(len(found), self.chance.randrange(1, 4)))
            for number, oid in some + found[-1:]:
                alertremoval.remove(c, oid, [number])
        if self.chance.random() < 0.5:
            self.alert()


def counted(c: Any, node_id: str, now: int) -> dict[str, Any]:
    """The figures of a scope, by going through every row of the store."""

    def every(model: Any) -> list[Any]:
        return list(c.execute(select(*model.__table__.c)))

    nodes = {row.id: row for row in every(Node)}

    def inside(oid: str) -> bool:
        at = next((row.id for row in nodes.values() if row.oid == oid), None)
        if at is None:
            return node_id in ("", "root", "unplaced", oid)
        while at is not None:
            if at == (node_id or "root"):
                return True
            at = nodes[at].parent_id
        return False

    states = {(row.oid, row.subject): row for row in every(SyncState)}

    def state(oid: str) -> str:
        seen = [states.get((oid, subject)) for subject in ("detections", "organization")]
        if any(row is not None and row.failure for row in seen):
            return "failed"
        if seen[0] is None or seen[0].checked_at is None:
            return "never"
        return "stale" if now - seen[0].checked_at > 15 * 60_000 else "fresh"

    here = {row.oid: row for row in every(Organization) if row.gone_at is None and inside(row.oid)}
    mine = {name: [row for row in every(model) if row.oid in here] for name, model in (
        ("alerts", Detection), ("sensors", Sensor), ("errors", OrganizationError), ("keys", ApiKey), ("cases", CaseRecord),
    )}  # fmt: skip
    opened = [row for row in mine["alerts"] if row.status < 2]
    fresh = [oid for oid in here if state(oid) == "fresh"]
    worst = max((row.severity for row in opened), default=-1)
    clocks = [row.due_at for row in opened if row.due_at is not None]
    first = now // HOUR - HOURS + 1
    words = [state(oid) for oid in here]
    over = [
        row
        for row in here.values()
        if row.sensor_quota and row.quota_used and row.quota_used > row.sensor_quota
    ]
    need = set(here) - set(fresh) | {row.oid for row in over} | {row.oid for row in mine["errors"]}
    need |= {row.oid for row in opened if row.severity >= 3 or (row.due_at is not None and row.due_at < now)}
    return {
        "organizations": len(here),
        "fresh": len(fresh),
        "failed": words.count("failed"),
        "stale": words.count("stale"),
        "never": words.count("never"),
        "oldest": min((states[oid, "detections"].checked_at for oid in fresh), default=None),
        "by_severity": tuple(sum(row.severity == n for row in opened) for n in range(5)),
        "oldest_open": min((row.time for row in opened if row.severity == worst), default=None),
        "late": sum(due < now for due in clocks),
        "soon": sum(now <= due < now + SOON for due in clocks),
        "first_due": min((due for due in clocks if due < now), default=None),
        "next_due": min((due for due in clocks if due >= now), default=None),
        "per_hour": tuple(
            sum(row.time // HOUR == hour for row in mine["alerts"]) for hour in range(first, first + HOURS)
        ),
        "cases": sum(row.status < 2 for row in mine["cases"]),
        "sensors": len(mine["sensors"]),
        "silent": sum(row.alive is None or row.alive < now - SILENT for row in mine["sensors"]),
        "sensors_online": sum(row.sensors_online or 0 for row in here.values()),
        "quota": sum(row.sensor_quota or 0 for row in here.values()),
        "over_quota": len(over),
        "errors": len(mine["errors"]),
        "keys": len(mine["keys"]),
        "keys_stale": sum(row.last_used is None or row.last_used < now - STALE_KEY for row in mine["keys"]),
        "needing": len(need),
        "unclaimed": sum(not row.assignee and row.snoozed_until is None for row in opened),
        "mine": sum(row.assignee == OPERATOR for row in opened),
        "snoozed": sum(row.snoozed_until is not None for row in opened),
    }


def shown(rollup: Rollup, c: Any, node_id: str, now: int) -> dict[str, Any]:
    found = rollup.overview(c, scope=node_id, now=now, operator=OPERATOR)
    assert found.shift.handed == waiting_for(c, OPERATOR, scope=node_id)
    assert sum(1 for _ in found.missing) == min(NAMED, found.organizations - found.fresh)
    assert not found.late_more
    assert len(found.attention) == min(10, found.needing)
    assert all(each.why or each.late for each in found.attention)
    said = {name: getattr(found, name) for name in found.__slots__ if name not in _ASIDE}
    return said | {name: getattr(found.shift, name) for name in ("unclaimed", "mine", "snoozed")}


_ASIDE = {"missing", "late_more", "over_named", "attention", "shift", "quota_used"}


class Failing:
    """A connection that goes away after so many statements."""

    def __init__(self, connection: Any, statements: int) -> None:
        self.connection, self.left = connection, statements

    def execute(self, *given: Any) -> Any:
        """As long as it is there."""
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("The store is locked.")
        return self.connection.execute(*given)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_kept_up_to_date_is_what_is_counted_from_scratch(store: Store, seed: int) -> None:
    for each in rounds(0.02, seed=seed):
        _walk(store, each, 60)


def _walk(store: Store, seed: int, steps: int) -> None:
    world = World(store, seed)
    kept, chance = Rollup(), random.Random(seed)
    for number in range(steps):
        world.step()
        if chance.random() < 0.3:
            with store.reader.reading() as c, suppress(StoreUnavailable):
                kept.rows(Failing(c, chance.randrange(2, 9)), now=world.now)  # type: ignore[arg-type]
        if number % 3 == 0:
            continue  # several things between two looks
        with store.reader.reading() as c:
            for node_id in ("", "eu", "n3", "unplaced", oid_of(4)):
                expected = counted(c, node_id, world.now)
                if node_id not in ("",) and kept.node(c, node_id, now=world.now) is None:
                    continue
                found = shown(kept, c, node_id, world.now)
                assert found == expected, (seed, number, node_id, world.said)
            again = Rollup()
            assert kept.rows(c, now=world.now) == again.rows(c, now=world.now), (seed, number, world.said)
            for node_id in ("", "us"):
                same = kept.overview(c, scope=node_id, now=world.now, operator=OPERATOR)
                assert same == again.overview(c, scope=node_id, now=world.now, operator=OPERATOR)


def test_a_reading_that_failed_does_not_lose_what_time_has_changed(store: Store) -> None:
    oid = oid_of(0)
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": oid, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_detections(c, oid, [ingest.detection_from(detection(0, oid, at=NOW), oid)])
        c.execute(text("UPDATE detection SET due_at = :due"), {"due": NOW + HOUR})
        store.touched("detection")
    kept = Rollup()
    with store.reader.reading() as c:
        assert kept.overview(c, now=NOW).late == 0
        # Two statements ask what was written; the third reads what is late.
        with pytest.raises(StoreUnavailable):
            kept.overview(Failing(c, 2), now=NOW + HOUR + 1)  # type: ignore[arg-type]
        assert kept.overview(c, now=NOW + HOUR + 1).late == 1


def test_alerts_that_were_taken_out_leave_the_hours_that_they_came_in(store: Store) -> None:
    one, other = oid_of(0), oid_of(1)
    with store.writing() as c:
        listed = [{"oid": one, "name": "Acme"}, {"oid": other, "name": "Borealis"}]
        ingest.put_organizations(c, listed, complete=True, now=NOW)
        for number in range(3):
            ingest.put_detections(c, one, [ingest.detection_from(detection(number, one, at=NOW), one)])
    kept = Rollup()
    with store.reader.reading() as c:
        assert kept.overview(c, now=NOW).per_hour[-1] == 3
    with store.writing() as c:
        first, _, last = c.execute(select(Detection.id).order_by(Detection.id)).scalars()
        alertremoval.remove(c, one, [first])
    with store.reader.reading() as c:
        assert kept.overview(c, now=NOW).per_hour[-1] == 2
    with store.writing() as c:
        alertremoval.remove(c, one, [last])
        # It may be given the number of the one that went.
        ingest.put_detections(c, other, [ingest.detection_from(detection(9, other, at=NOW), other)])
    with store.reader.reading() as c:
        assert kept.overview(c, now=NOW).per_hour[-1] == 2
        assert kept.overview(c, scope=one, now=NOW).per_hour[-1] == 1
        assert kept.overview(c, scope=other, now=NOW).per_hour[-1] == 1


def test_an_older_view_of_the_store_changes_nothing(store: Store) -> None:
    world = World(store, 3)
    kept = Rollup()
    with store.reader.reading() as before:
        kept.rows(before, now=NOW)
        world.alert()
        with store.reader.reading() as after:
            many = kept.overview(after, now=NOW).by_severity
        assert sum(many) > 0
        assert kept.overview(before, now=NOW).by_severity == many


def test_a_store_put_in_the_place_of_another_is_read_anew(a_store: Callable[..., Store]) -> None:
    first, second = a_store("first"), a_store("second")
    world = World(first, 4)
    for _ in range(5):
        world.alert()
    World(second, 4)
    kept = Rollup()
    with first.reader.reading() as c:
        assert sum(kept.overview(c, now=NOW).by_severity) > 0
    with second.reader.reading() as c:
        kept.overview(c, now=NOW + 1)
        assert sum(kept.overview(c, now=NOW + 20_000).by_severity) == 0


def test_late_alerts_are_counted_up_to_a_bound_and_more_is_said(a_store: Callable[..., Store]) -> None:
    store, oid = a_store(), oid_of(0)
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": oid, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_detections(c, oid, [ingest.detection_from(detection(0, oid, at=NOW), oid)])
        names = [column.name for column in Detection.__table__.c if column.name != "id"]  # type: ignore[attr-defined]
        taken = ", ".join({"detect_id": "'d' || n", "due_at": "1"}.get(name, name) for name in names)
        c.exec_driver_sql(
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)"
            f" INSERT INTO detection ({', '.join(names)}) SELECT {taken} FROM detection, number",
            (COUNTED + 5,),
        )
        store.touched("detection")
    with store.reader.reading() as c:
        found = Rollup().overview(c, now=NOW)
        kept = Rollup()
        kept.overview(c, now=0)
        assert kept.overview(c, now=NOW) == found
    assert (found.late, found.late_more) == (COUNTED, True)
    assert found.attention[0].late == COUNTED


def test_time_alone_makes_what_was_read_otherwise_to_the_millisecond(store: Store) -> None:
    oid = oid_of(0)
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": oid, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_sync_state(c, oid, "detections", checked_at=NOW, attempted_at=NOW)
        ingest.put_detections(c, oid, [ingest.detection_from(detection(0, oid, at=NOW), oid)])
        c.execute(text("UPDATE detection SET due_at = :due"), {"due": NOW + 2 * HOUR})
        store.touched("detection")
        listed = [{"sid": "s1", "hostname": "h", "alive": NOW // 1000}]
        ingest.put_sensors(c, oid, listed)
        ingest.put_keys(c, oid, {"k": {"name": "k", "priv": [], "last_used": NOW // 1000}}, now=NOW)
    kept = Rollup()

    def seen(now: int) -> tuple[int, ...]:
        with store.reader.reading() as c:
            found = kept.overview(c, now=now)
            assert found == Rollup().overview(c, now=now)
        return found.fresh, found.soon, found.late, found.silent, found.keys_stale

    before = seen(NOW)
    assert before == (1, 0, 0, 0, 0)
    for at, number, after in (
        (NOW + STALE_AFTER, 0, 0), (NOW + HOUR, 1, 1), (NOW + 2 * HOUR, 2, 1), (NOW + SILENT, 3, 1),
        (NOW + STALE_KEY, 4, 1),
    ):  # fmt: skip
        assert seen(at)[number] == before[number]
        assert seen(at + 1)[number] == after
