"""The first look at a scope, on a real store."""

import asyncio
import re

from sqlalchemy import insert, text

from console.operations import handover, triage
from screens.context import Scope, Status
from screens.figures import looked
from screens.overview import Overview
from screens.requests import SetScope, ShowAccess, ShowAlerts, ShowOrganization
from store import ingest
from store.alerts import AlertFilter
from store.models import AccessDeadline, BreakGlass, RolloutPlan
from store.queries import alerts
from store.queries.rollup import Rollup
from store.rollouts.plans import STATES
from store.triage import Selection
from tests.helpers.drifting import KEY, ON, document, observed, rule, template
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


def line_of(host: Host, word: str) -> str:
    return next(line for line in text_of(host).splitlines() if word in line)


async def test_every_band_says_what_it_is_made_of(filled_store):
    host = Host(filled_store, Overview)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert line_of(host, "ALERTS").split()[:4] == ["x", "ALERTS", "60", "open"]
        assert "!! 10 crit  ! 20 high" in line_of(host, "ALERTS")
        assert "0 of 0 online" in line_of(host, "SENSORS")
        assert "4 of 5 organizations fresh" in line_of(host, "SYNC")
        assert "1 failed" in line_of(host, "SYNC")
        assert "1 failed: Delta Ltd" in line_of(host, "SYNC")
        assert "The key was ref" in line_of(host, "x Delta Ltd")
        assert "4 of 5 organizations" in text_of(host).splitlines()[1]
        assert host.guard.hits == 0


async def test_figures_of_sensors_keys_and_errors_come_from_the_store(filled_store):
    with filled_store.writing() as connection:
        ingest.put_organization_facts(connection, oid_of(0), quota=10, quota_used=12.0)
        ingest.put_keys(
            connection,
            oid_of(0),
            {
                "k1": {"name": "old", "priv": ["org.get"], "last_used": (NOW - 100 * 86_400_000) // 1000},
                "k2": {"name": "never", "priv": ["org.get"]},
                "k3": {"name": "used", "priv": ["org.get"], "last_used": (NOW - 86_400_000) // 1000},
            },
            now=NOW,
        )
        ingest.put_errors(connection, oid_of(1), [{"component": "output", "error": "refused"}])
    host = Host(filled_store, Overview)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert "1 over quota: Acme Dental" in line_of(host, "SENSORS")
        assert "2 keys unused for 90 days" in line_of(host, "ACCESS")
        assert "1 standing error" in line_of(host, "CONFIGURATION")


async def test_the_worst_comes_first_and_its_keys_go_there(filled_store):
    host = Host(filled_store, Overview)
    async with host.run_test() as pilot:
        await ready(pilot)
        # Late and critical goes before what cannot be read.
        worst = host.view.table.current
        assert min(worst.late, worst.by_severity[4]) > 0
        assert worst.name != "Delta Ltd"
        await pilot.press("enter", "a", "m", "s", "j", "enter")
        await still(pilot)
        assert host.asked == [
            ShowOrganization(worst.oid),
            ShowAlerts(f"oid:{worst.oid}"),
            ShowAccess(worst.oid),
            SetScope(worst.id),
            ShowOrganization(host.view.table.current.oid),
        ]
        assert host.view.table.current.oid != worst.oid


async def test_what_cannot_be_read_comes_before_what_is_only_high(filled_store):
    with filled_store.writing() as connection:
        connection.execute(text("UPDATE detection SET due_at = NULL"))
        connection.execute(text("DELETE FROM detection_count WHERE severity = 4"))
        filled_store.touched("detection", "detection_count")
    host = Host(filled_store, Overview)
    async with host.run_test() as pilot:
        await ready(pilot)
        assert host.view.table.current.name == "Delta Ltd"


async def test_a_scope_limits_every_figure(filled_store):
    host = Host(filled_store, Overview, scope=Scope("gold", "Europe/Gold"))
    async with host.run_test() as pilot:
        await ready(pilot)
        assert "24 open" in line_of(host, "ALERTS")
        assert "2 of 2 organizations" in text_of(host)
        assert "Delta" not in text_of(host)
        host.go(Scope())
        await until(pilot, lambda: "60 open" in text_of(host))


async def test_a_calm_scope_says_so_and_its_keys_say_why_they_cannot_work(empty_store):
    with empty_store.writing() as connection:
        ingest.put_organizations(
            connection, [{"oid": oid_of(0), "name": "Acme Dental"}], complete=True, now=NOW
        )
        ingest.put_sync_state(connection, oid_of(0), "detections", checked_at=NOW, attempted_at=NOW)
    host = Host(empty_store, Overview)
    async with host.run_test() as pilot:
        await ready(pilot)
        assert "Nobody needs anyone: 1 of 1 organizations are well" in text_of(host)
        assert "o  ALERTS" in text_of(host)
        await pilot.press("enter")
        assert "No organization needs someone." in text_of(host)
        assert host.asked == []


async def test_it_is_read_again_when_alerts_come_in(filled_store):
    host = Host(filled_store, Overview)
    async with host.run_test() as pilot:
        await ready(pilot)
        with filled_store.writing() as connection:
            ingest.put_sync_state(
                connection, oid_of(3), "detections", checked_at=NOW, attempted_at=NOW, failure="", reason=""
            )
        await until(pilot, lambda: "5 of 5 organizations fresh" in text_of(host))


async def test_a_strangers_name_and_reason_cannot_steer_the_terminal(filled_store):
    with filled_store.writing() as connection:
        ingest.put_organizations(connection, [{"oid": oid_of(9), "name": HOSTILE}], complete=False, now=NOW)
        ingest.put_sync_state(
            connection, oid_of(9), "detections", attempted_at=NOW, failure="auth", reason=HOSTILE
        )
        ingest.put_organization_facts(connection, oid_of(9), quota=1, quota_used=9.0)
    host = Host(filled_store, Overview)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert "\\x1b]0;x\\x07[@click=app.quit]Evil[/]\\u202e" in text_of(host)
        assert host.guard.hits == 0
        assert host.is_running


def test_picture_full(filled_store, snap_compare):
    """Bands with a sign each; below them Delta Ltd first, because it failed."""
    assert snap_compare(Host(filled_store, Overview), terminal_size=(80, 24), run_before=ready)


def test_picture_wide(filled_store, snap_compare):
    """The same with whole words, wider plots, and where each organization stands."""
    assert snap_compare(Host(filled_store, Overview), terminal_size=(120, 40), run_before=ready)


def test_picture_empty(empty_store, snap_compare):
    """An empty store says what to do."""
    host = Host(empty_store, Overview)
    host.context.status = Status(known=True)
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


def test_picture_failed(filled_store, snap_compare):
    """The store could not be read: one sentence."""
    host = Host(filled_store, Overview, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


async def test_what_waits_for_a_shift_is_counted_apart(filled_store):
    def arrange():
        with filled_store.reader.reading() as connection:
            rows = alerts.page(connection, AlertFilter(), limit=10)
        ids = [row.id for row in rows]
        triage.claim(filled_store, "kim", Selection(ids=tuple(ids[:2])), now=NOW)
        triage.claim(filled_store, "dana", Selection(ids=tuple(ids[2:5])), now=NOW)
        triage.snooze(filled_store, "kim", Selection(ids=(ids[0], ids[5])), until=NOW + 3_600_000, now=NOW)
        return handover.draft(filled_store, "dana", now=NOW)

    made = await asyncio.to_thread(arrange)
    await handover.publish(filled_store, "dana", made.id, now=NOW)
    with filled_store.reader.reading() as connection:
        found = Rollup().overview(connection, now=NOW, operator="kim").shift
        gold = Rollup().overview(connection, scope="gold", now=NOW, operator="kim").shift
        late = alerts.count(connection, AlertFilter(snoozed="any", due=NOW - 1)).value
    # Of sixty: five are held, two are snoozed, one of these is held too.
    assert (found.unclaimed, found.mine, found.snoozed, found.handed) == (54, 2, 2, 3)
    with filled_store.reader.reading() as connection:
        assert Rollup().overview(connection, now=NOW).late == late > 0
    assert 0 < gold.unclaimed < found.unclaimed
    host = Host(filled_store, Overview)
    host.context.operator = "kim"
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert "54 unclaimed   2 mine" in line_of(host, "SHIFT")
        assert "2 snoozed   3 handed to you" in line_of(host, "SHIFT")


async def test_drift_findings_rollouts_and_break_glass_stand_in_their_bands(filled_store):
    with filled_store.writing() as connection:
        ingest.put_keys(connection, oid_of(0), {"k": {"name": "open", "priv": ["user.ctrl"]}}, now=NOW)
        ingest.put_sync_state(connection, oid_of(0), "keys", checked_at=NOW, attempted_at=NOW)
        ingest.put_access(
            connection, oid_of(0), {"user_permissions": {"kim@x.example": ["user.ctrl", "org.get"]}}, now=NOW
        )
        ingest.put_sync_state(connection, oid_of(0), "access", checked_at=NOW, attempted_at=NOW)
        for state in ("paused", "halted", "done"):
            connection.execute(insert(RolloutPlan).values(title="t", state=STATES.index(state)))
        deadline = connection.execute(
            insert(AccessDeadline)
            .values(kind="break-glass", title="t", by="dana", made_at=NOW, due_at=NOW + 40 * 60_000)
            .returning(AccessDeadline.id)
        ).scalar_one()
        connection.execute(
            insert(BreakGlass).values(
                deadline_id=deadline, gid="g", group_name="Responders", principal="kim@x.example",
                reason="r", ticket="1", by="dana", started_at=NOW, asked_for=3_600_000, state=1,
            )
        )  # fmt: skip
    host = Host(filled_store, Overview)
    async with host.run_test(size=(160, 48)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "looked just now" in text_of(host))
        assert "1 rollout halted   1 rollout paused" in line_of(host, "CONFIGURATION")
        assert line_of(host, "CONFIGURATION").split()[0] == "x"
        assert "no templates are assigned" in text_of(host)
        assert re.search(r"[1-9][0-9]*\+ findings, [1-9][0-9]*\+ high or critical", line_of(host, "ACCESS"))
        assert "1 break-glass, ends in 40m" in text_of(host)
        host.now += 5 * 60_000
        host.view.reload()
        await until(pilot, lambda: "looked 5m ago" in text_of(host))


async def test_what_could_not_be_looked_for_is_said_the_rest_stays_and_it_is_looked_for_again(
    filled_store, monkeypatch
):
    broken = True

    def sometimes(*given, **named):
        if broken:
            raise OSError("the disk is gone")
        return looked(*given, **named)

    monkeypatch.setattr("screens.figures.looked", sometimes)
    monkeypatch.setattr("screens.figures.AGES_EVERY", 0.05)
    monkeypatch.setattr("screens.figures.AGAIN", 100)
    template(filled_store, content=document(first=(rule("a"), ON)))
    observed(filled_store, 0, {"first": (rule("b"), ON)})
    host = Host(filled_store, Overview)
    host.context.redaction_key = lambda: KEY
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(
            pilot, lambda: "Drift and findings could not be looked for: the disk is gone" in text_of(host)
        )
        assert "findings are being looked for" in text_of(host)
        assert "60 open" in line_of(host, "ALERTS")
        broken = False
        await until(pilot, lambda: "1 record drifted in 1 organization " in line_of(host, "CONFIGURATION"))
        assert "looked just now" in text_of(host)
        assert "60 open" in line_of(host, "ALERTS")


async def test_what_was_never_read_is_neither_drifted_nor_as_wanted_nor_clear(filled_store):
    template(filled_store, content=document(first=(rule("a"), ON)))
    for number in range(3):
        observed(filled_store, number, {"first": (rule("b" if number == 0 else "a"), ON)})
    with filled_store.writing() as connection:
        for number in range(2):
            ingest.put_sync_state(connection, oid_of(number), "access", checked_at=NOW, attempted_at=NOW)
    host = Host(filled_store, Overview)
    host.context.redaction_key = lambda: KEY
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "looked just now" in text_of(host))
        assert "1 record drifted in 1 organization " in line_of(host, "CONFIGURATION")
        assert "2 of 3, 2 not compared" in line_of(host, "as wanted")
        assert " of 2; 2 of 5 read" in line_of(host, "clear")
        with filled_store.writing() as connection:
            rows = [{"oid": oid_of(5), "name": "Fjord Ltd"}]
            ingest.put_organizations(connection, rows, complete=False, now=NOW)
        await until(pilot, lambda: "Fjord Ltd" in text_of(host))
        assert line_of(host, ". Fjord Ltd").split()[3:6] == ["-", "-", "-"]
        assert all(len(each) <= 80 for each in text_of(host).splitlines())
        assert "looked" in line_of(host, "as wanted")
        assert "looked" in line_of(host, "clear")
