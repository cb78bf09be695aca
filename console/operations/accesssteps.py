"""The steps of a plan about access, made: several organizations and groups at once, each of them in order.

A unit is what is done to one organization or one group in a row. It is read from the cloud, compared with
what the plan saw, written down, sent once, and read back; what was read is stored as a sync would. What gives
is made before what takes, and what takes waits for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from console.limacharlie.errors import (
    Ambiguous,
    Auth,
    Conflict,
    Denied,
    Gone,
    Invalid,
    LimaCharlieError,
    Network,
    Throttled,
)
from console.operations.actor import actor
from console.operations.holding import Keeper
from console.operations.ports import Progress, Report
from console.operations.sync import fingerprint
from store import accesslines, ingest, journal, planwork
from store.accesschanges import NEW, AccessChange, ChangeKind
from store.accessplans import Facts, Plan, Step, UnknownThing, holds

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store

AT_ONCE = 8
"""Organizations and groups worked on at once; the credential's rate budget is kept below this."""
MOST = 50
"""Changes that are sent between two readings of one organization or group."""
TURNS = 4
"""How often a change is sent that LimaCharlie turns away for the rate alone."""
LOOKS = 3
"""How often the cloud is asked for what it said it had done."""
PAUSE = 1.0
"""Seconds between two looks."""
TOLD = 0.1
"""Seconds between two reports of how far it has come."""

GIVING: frozenset[ChangeKind] = frozenset(
    ("create_group", "add_user", "grant", "add_org", "add_group_permission", "add_owner", "add_member")
)
_PEOPLE = frozenset(("add_user", "grant", "add_member", "add_owner"))
FINAL = frozenset(
    ("done", "already", "conflict", "denied", "gone", "failed", "held back", "unknown", "expired")
)
GOOD = frozenset(("done", "already"))

_AWAY = (Network, Auth)
"""Nobody can be asked: the plan waits."""


class Away(Exception):
    """The cloud is away; what was not sent waits."""


@dataclass
class Work:
    """A step on its way."""

    step: Step
    change: AccessChange
    """With the gid of a group that the plan made."""
    outcome: str
    intent: int | None
    error: str = ""
    made: str = ""
    trouble: str = ""
    """Why nobody knows yet what came of it."""


class _Organization:
    """One organization's own users and their permissions."""

    def __init__(self, cloud: "Cloud", oid: str) -> None:
        self.cloud, self.oid = cloud, oid
        self._direct: dict[str, set[str]] = {}
        self._answer: dict[str, Any] = {}
        self._at = 0

    async def read(self, now: int) -> None:
        self._at = now
        self._answer = answer = await self.cloud.organization(self.oid).permissions()
        self._direct = {}
        for email, names in answer["user_permissions"].items():
            self._direct.setdefault(email.casefold(), set()).update(names)
        for user in answer.get("direct_users") or ():
            self._direct.setdefault(str(user.get("email", "")).casefold(), set()).update(
                user.get("perms") or ()
            )

    def fact(self, change: AccessChange) -> dict[str, Any]:
        held = self._direct.get(change.principal.casefold())
        if change.kind == "remove_user":
            return {"permissions": None if held is None else sorted(held)}
        return {"user": held is not None, "held": change.permission in (held or ())}

    async def send(self, change: AccessChange, others: Sequence[AccessChange]) -> None:
        del others
        handle = self.cloud.organization(self.oid)
        if change.kind == "grant":
            await handle.grant(change.principal, change.permission)
        elif change.kind == "revoke":
            await handle.revoke(change.principal, change.permission)
        elif change.kind == "add_user":
            await handle.add_user(change.principal)
        else:
            await handle.remove_user(change.principal)

    def keep(self, c: Connection) -> None:
        ingest.put_access(c, self.oid, self._answer, now=self._at)
        _read_at(c, self.oid, "access", self._answer, self._at)


class _Keys:
    """One organization's API keys."""

    def __init__(self, cloud: "Cloud", oid: str) -> None:
        self.cloud, self.oid = cloud, oid
        self._keys: dict[str, dict[str, Any]] = {}
        self._at = 0

    async def read(self, now: int) -> None:
        self._at = now
        self._keys = await self.cloud.organization(self.oid).keys()

    def fact(self, change: AccessChange) -> dict[str, Any]:
        key = self._keys.get(change.principal)
        if key is None:
            return {"held": False}
        return {"held": True, "name": key.get("name"), "permissions": sorted(key.get("priv") or ())}

    async def send(self, change: AccessChange, others: Sequence[AccessChange]) -> None:
        del others
        await self.cloud.organization(self.oid).delete_key(change.principal)

    def keep(self, c: Connection) -> None:
        ingest.put_keys(c, self.oid, self._keys, now=self._at)
        _read_at(c, self.oid, "keys", self._keys, self._at)


class _Group:
    """One group, whole."""

    def __init__(self, cloud: "Cloud", gid: str) -> None:
        self.cloud, self.gid = cloud, gid
        self._group: dict[str, Any] | None = {}
        self._at = 0

    async def read(self, now: int) -> None:
        self._at = now
        try:
            self._group = await self.cloud.group(self.gid)
        except Gone:
            self._group = None

    @property
    def gone(self) -> bool:
        return self._group is None

    def _emails(self, name: str) -> set[str]:
        return {
            str(each.get("email", "") if isinstance(each, dict) else each).casefold()
            for each in (self._group or {}).get(name, ())
        }

    def fact(self, change: AccessChange) -> dict[str, Any]:
        group = self._group or {}
        organizations = {str(each.get("org_id")) for each in group.get("orgs", ())}
        match change.kind:
            case "add_member" | "remove_member":
                return {"held": change.principal.casefold() in self._emails("members")}
            case "add_owner" | "remove_owner":
                return {"held": change.principal.casefold() in self._emails("owners")}
            case "add_org" | "remove_org":
                return {"held": change.oid in organizations}
            case "add_group_permission" | "remove_group_permission":
                return {"permissions": sorted(map(str, group.get("perms", ())))}
            case _:
                return {
                    "name": group.get("name", ""),
                    "permissions": sorted(map(str, group.get("perms", ()))),
                    "members": sorted(self._emails("members")),
                    "owners": sorted(self._emails("owners")),
                    "organizations": sorted(organizations),
                }

    async def send(self, change: AccessChange, others: Sequence[AccessChange]) -> None:
        cloud, gid, who = self.cloud, self.gid, change.principal
        match change.kind:
            case "add_member":
                await cloud.add_group_member(gid, who)
            case "remove_member":
                await cloud.remove_group_member(gid, who)
            case "add_owner":
                await cloud.add_group_owner(gid, who)
            case "remove_owner":
                await cloud.remove_group_owner(gid, who)
            case "add_org":
                await cloud.add_group_organization(gid, change.oid)
            case "remove_org":
                await cloud.remove_group_organization(gid, change.oid)
            case "delete_group":
                await cloud.delete_group(gid)
            case _:
                # As a whole, so all of them at once; those that stay keep their order.
                given = [each.permission for each in others if each.kind == "add_group_permission"]
                taken = {each.permission for each in others if each.kind == "remove_group_permission"}
                there = [str(name) for name in (self._group or {}).get("perms", ())]
                await cloud.set_group_permissions(gid, [n for n in [*there, *given] if n not in taken])

    def keep(self, c: Connection) -> None:
        if self._group is None:
            ingest.drop_group(c, self.gid, now=self._at)
        else:
            ingest.put_group(c, self._group, now=self._at)


_Target = _Organization | _Keys | _Group


def _read_at(c: Connection, oid: str, subject: str, answer: object, at: int) -> None:
    """Say that a subject was read, so that the next sync compares with this answer."""
    ingest.put_sync_state(
        c, oid, subject, fingerprint=fingerprint(answer), checked_at=at, attempted_at=at, stale=None
    )


class Applying:
    """Makes the steps of one plan that this process holds."""

    def __init__(
        self,
        plan: Plan,
        *,
        store: "Store",
        cloud: "Cloud",
        operator: str,
        holder: str,
        clock: Callable[[], int],
        report: Report | None = None,
        pause: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """Nothing is read or sent yet.

        Args:
            clock: milliseconds, UTC.
            pause: waits so many seconds between two looks at the cloud.
        """
        self.plan = plan
        self.works = [
            Work(step, step.change, step.outcome, step.intent, step.error, step.made) for step in plan.steps
        ]
        self.trouble = ""
        """Why not everything came to an end."""
        self._store, self._cloud = store, cloud
        self._operator = operator
        self._keeper = Keeper(store, lambda c: planwork.beat(c, plan.id, holder, now=clock()))
        self._clock, self._report, self._pause = clock, report, pause
        self._late = clock() > plan.expires_at
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._away = False
        self._told = 0.0
        self._members: dict[str, set[str]] = {}
        self._names = accesslines.Names()
        self._held: dict[str, set[str]] = {}

    @property
    def finished(self) -> bool:
        """Whether every step has come to its end."""
        return all(work.outcome in FINAL for work in self.works)

    async def run(self) -> None:
        """Make everything that is not made yet.

        Raises:
            Lost: another process holds the plan.
        """
        await asyncio.to_thread(self._look_up)
        self._tell()
        try:
            async with self._keeper.beating():
                await self._phase([work for work in self.works if work.step.change.kind in GIVING])
                if all(work.outcome in FINAL for work in self.works if work.step.change.kind in GIVING):
                    self._note_losers()
                    await self._phase([work for work in self.works if work.step.change.kind not in GIVING])
        except Away as away:
            self.trouble = str(away)

    def _look_up(self) -> None:
        changes = [work.change for work in self.works]
        with self._store.reader.reading() as c:
            self._names = accesslines.names(c, changes)
            try:
                groups = Facts(c, changes).groups
            except UnknownThing:
                # It went away since; what is about it says so in its turn.
                groups = {}
        self._members = {gid: set(group.members) for gid, group in groups.items()}
        for change in changes:
            if change.kind == "add_member":
                self._members.setdefault(change.gid, set()).add(change.principal)

    # -- the order ----------------------------------------------------------------------------------------

    async def _phase(self, works: Iterable[Work]) -> None:
        lanes: dict[tuple[str, str], list[Work]] = {}
        for work in works:
            if work.outcome in FINAL and work.change.kind != "create_group":
                continue
            change = work.change
            kind = "group" if change.gid else "keys" if change.kind == "delete_key" else "organization"
            lanes.setdefault((kind, change.gid or change.oid), []).append(work)
        results = await asyncio.gather(
            *(self._lane(kind, key, lane) for (kind, key), lane in lanes.items()), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in sorted(failures, key=lambda each: isinstance(each, Away)):
            raise failure

    async def _lane(self, kind: str, key: str, works: list[Work]) -> None:
        async with self._slots:
            if self._away:
                return
            if kind == "group" and key.startswith(NEW):
                made = await self._made(key, works)
                if not made:
                    return
                key = made
                works = [work for work in works if work.change.kind != "create_group"]
                for work in works:
                    work.change = replace(work.change, gid=key)
            target: _Target
            if kind == "group":
                target = _Group(self._cloud, key)
            else:
                target = (_Keys if kind == "keys" else _Organization)(self._cloud, key)
            for at in range(0, len(works), MOST):
                await self._unit(target, works[at : at + MOST])

    async def _made(self, name: str, works: list[Work]) -> str:
        """The gid of a group that the plan makes; "" when there is none, and what needs it is told so."""
        maker = next(
            work
            for work in self.works
            if work.step.change.kind == "create_group" and work.step.change.gid == name
        )
        if maker.outcome not in FINAL:
            await self._create(maker)
        if maker.made:
            return maker.made
        if maker.outcome in FINAL:
            for work in works:
                if work is not maker:
                    work.outcome, work.error = "held back", "Its group was not made."
            await self._record([work for work in works if work is not maker])
        return ""

    # -- a group that is not there yet ----------------------------------------------------------------------

    async def _create(self, work: Work) -> None:
        """Make a group. It has no id until it is made, so it is looked for by what it is called."""
        name = work.change.gid.removeprefix(NEW).strip()
        for _ in range(2):
            try:
                listed = await self._cloud.group_names()
            except LimaCharlieError as error:
                await self._not_read([work], error)
                return
            named = sorted(gid for gid, called in listed.items() if called.strip() == name)
            before = work.step.before["named"]
            if work.intent is not None:
                before = await asyncio.to_thread(self._intended, work.intent)
            new = sorted(set(named) - set(before))
            if new and work.intent is None:
                work.outcome = "conflict"
                work.error = "A group that is called so was made since the plan was drafted."
            elif len(new) > 1:
                work.outcome, work.error = (
                    "conflict",
                    "Several groups that are called so were made meanwhile.",
                )
            elif new:
                await self._created(work, new[0])
                return
            elif self._late:
                work.outcome, work.error = "expired", "The plan was too old when it was carried on."
            if work.outcome in FINAL:
                await self._record([work])
                return
            await self._intend([(work, {"named": named})])
            try:
                gid = await self._cloud.create_group(name)
            except Ambiguous as error:
                work.trouble = str(error)
                continue
            except LimaCharlieError as error:
                await self._refused([work], error)
                return
            await self._created(work, gid)
            return
        work.outcome, work.error = "failed", work.trouble
        await self._record([work])

    def _intended(self, intent: int) -> list[str]:
        with self._store.reader.reading() as c:
            found = planwork.intents(c, [intent])
        return list(found.get(intent, {}).get("before", {}).get("named", ()))

    async def _created(self, work: Work, gid: str) -> None:
        work.outcome, work.made = "done", gid
        target: _Group | None = _Group(self._cloud, gid)
        try:
            assert target is not None  # noqa: S101  (for the type)
            await target.read(self._clock())
            if target.gone:
                target = None
        except LimaCharlieError:
            # It is made, whether or not it can be looked at now.
            target = None
        await self._record([work], target)

    # -- one unit -------------------------------------------------------------------------------------------

    async def _unit(self, target: _Target, works: list[Work]) -> None:
        left = self._not_held_back(works)
        await self._record([work for work in works if work not in left])
        for _ in range(2):
            if not left or not await self._read(target, left):
                return
            ready = await self._decide(target, left)
            if not ready:
                return
            sent = await self._send(target, ready)
            left = await self._look(target, sent)
        for work in left:
            work.outcome, work.error = "failed", work.trouble
        await self._record(left)

    async def _read(self, target: _Target, works: list[Work]) -> bool:
        """Read it, fresh; False when that failed, and the steps are told so."""
        try:
            await target.read(self._clock())
        except LimaCharlieError as error:
            await self._not_read(works, error)
            return False
        if isinstance(target, _Group) and target.gone:
            for work in works:
                if work.change.kind == "delete_group":
                    work.outcome = "already" if work.intent is None else "done"
                else:
                    work.outcome, work.error = "gone", "The group is not there any more."
            await self._record(works, target)
            return False
        return True

    async def _not_read(self, works: list[Work], error: LimaCharlieError) -> None:
        """Nothing can be sent without having been read: say so of each step.

        Raises:
            Away: nobody can be asked at the moment.
        """
        if isinstance(error, _AWAY):
            self._away = True
            raise Away(str(error)) from error
        lasting = isinstance(error, Denied | Gone | Invalid)
        for work in works:
            if work.intent is not None and not lasting and not self._late:
                # Perhaps it was sent: that is seen when it can be read.
                work.error = self.trouble = f"It cannot be read whether it was made: {error}"
            elif work.intent is not None and not isinstance(error, Gone):
                work.outcome, work.error = "unknown", f"It cannot be read whether it was made: {error}"
            else:
                work.outcome = (
                    "denied" if isinstance(error, Denied) else "gone" if isinstance(error, Gone) else "failed"
                )
                work.error = str(error)
        await self._record(works)

    async def _decide(self, target: _Target, works: list[Work]) -> list[Work]:
        """Compare each step with what is there; those that are to be sent are written down, and answered."""
        for work in works:
            if holds(work.change, target.fact(work.change)):
                work.outcome, work.error = "already" if work.intent is None else "done", ""
        open_ = [work for work in works if work.outcome not in FINAL]
        for work in open_:
            reason = self._conflict(work, target.fact(work.change), works)
            if reason:
                work.outcome, work.error = "conflict", reason
            elif self._late:
                work.outcome, work.error = "expired", "The plan was too old when it was carried on."
        ready = [work for work in open_ if work.outcome not in FINAL]
        settled = [work for work in works if work.outcome in FINAL]
        await self._intend([(work, target.fact(work.change)) for work in ready], settled, target)
        return ready

    def _conflict(self, work: Work, fact: dict[str, Any], works: list[Work]) -> str:
        """Why a step is left alone; "" when everything is as the plan saw it."""
        change, before = work.change, work.step.before
        match change.kind:
            case "grant":
                adds = AccessChange("add_user", oid=change.oid, principal=change.principal)
                if fact["user"] or any(other.change == adds for other in works):
                    return ""
                return f"{change.principal} is not in the organization any more."
            case "remove_user":
                if fact["permissions"] == sorted(before["permissions"] or ()):
                    return ""
                return f"What {change.principal} has there was changed since the plan was drafted."
            case "add_group_permission" | "remove_group_permission":
                if set(fact["permissions"]) == self._expected(work):
                    return ""
                return "What the group gives was changed since the plan was drafted."
            case "delete_group":
                names = ("permissions", "members", "owners", "organizations")
                if all(_folded(fact[name]) == _folded(before[name]) for name in names):
                    return ""
                return "The group was changed since the plan was drafted."
        return ""

    def _expected(self, work: Work) -> set[str]:
        """What a group gives if nobody but this plan has changed it."""
        expected = set(work.step.before["permissions"])
        for other in self.works:
            if other.outcome == "done" and other.change.gid == work.change.gid:
                if other.change.kind == "add_group_permission":
                    expected.add(other.change.permission)
                elif other.change.kind == "remove_group_permission":
                    expected.discard(other.change.permission)
        return expected

    async def _send(self, target: _Target, works: list[Work]) -> list[Work]:
        """Send each step once; answers those of which it has to be seen what became of them.

        Raises:
            Away: the cloud is away; what was not sent waits.
        """
        sent: list[Work] = []
        whole = [work for work in works if work.change.kind.endswith("_group_permission")]
        missing: set[str] = set()
        for at, work in enumerate(works):
            if work in sent or work.outcome in FINAL:
                continue
            if work.change.kind == "grant" and work.change.principal in missing:
                work.outcome, work.error = "held back", f"{work.change.principal} was not added."
                continue
            together = whole if work in whole else [work]
            await self._keeper.still_ours()
            try:
                await self._sent(target, work.change, [each.change for each in together])
            except Ambiguous as error:
                for each in together:
                    each.trouble = str(error)
                sent += together
            except LimaCharlieError as error:
                if work.change.kind == "add_user":
                    missing.add(work.change.principal)
                if isinstance(error, _AWAY):
                    together = [each for each in works[at:] if each not in sent]
                elif isinstance(error, Gone) and work.change.kind in _PEOPLE:
                    # The organization, or the group, was there a moment ago.
                    error = Gone(f"LimaCharlie knows nobody called {work.change.principal}.")
                await self._refused(together, error)
            else:
                for each in together:
                    each.trouble = ""
                sent += together
        await self._record([work for work in works if work.outcome == "held back"])
        return sent

    async def _sent(self, target: _Target, change: AccessChange, together: Sequence[AccessChange]) -> None:
        """Send one change; what was turned away for the rate alone was not made, and waits for its turn."""
        for _ in range(TURNS):
            try:
                return await target.send(change, together)
            except Throttled as error:
                # Until the cloud's pause is over the client holds everybody back by itself.
                throttled = error
        raise throttled

    async def _refused(self, together: list[Work], error: LimaCharlieError) -> None:
        """The cloud said no, or was not reached: nothing was done.

        Raises:
            Away: it was not reached.
        """
        if isinstance(error, _AWAY):
            self._away = True
            for each in together:
                each.outcome, each.error = "waiting", str(error)
            await self._record(together)
            for each in together:
                each.intent = None
            raise Away(str(error)) from error
        outcome = {Denied: "denied", Gone: "gone", Conflict: "conflict"}
        for each in together:
            each.outcome = next((name for kind, name in outcome.items() if isinstance(error, kind)), "failed")
            each.error = str(error)
        await self._record(together)

    async def _look(self, target: _Target, works: list[Work]) -> list[Work]:
        """Read back; answers the steps whose outcome was unknown and which were not made.

        Raises:
            Away: the cloud is away; they are looked at when the plan is carried on.
        """
        if not works:
            return []
        for look in range(LOOKS):
            try:
                await target.read(self._clock())
            except LimaCharlieError as error:
                await self._not_read_back(works, error)
                return []
            if isinstance(target, _Group) and target.gone:
                break
            clear = [work for work in works if not work.trouble]
            if look == LOOKS - 1 or all(holds(work.change, target.fact(work.change)) for work in clear):
                break
            await self._pause(PAUSE)
        unclear = []
        for work in works:
            gone = isinstance(target, _Group) and target.gone
            if (gone and work.change.kind == "delete_group") or (
                not gone and holds(work.change, target.fact(work.change))
            ):
                work.outcome, work.error = "done", ""
            elif gone:
                work.outcome, work.error = "gone", "The group is not there any more."
            elif work.trouble:
                unclear.append(work)
            else:
                work.outcome = "unknown"
                work.error = "LimaCharlie took it, and does not show it: look again before anything else."
        await self._record([work for work in works if work not in unclear], target)
        return unclear

    async def _not_read_back(self, works: list[Work], error: LimaCharlieError) -> None:
        if isinstance(error, _AWAY):
            self._away = True
            raise Away(str(error)) from error
        if isinstance(error, Denied | Gone):
            # As after one's own access was taken: what was answered with success was made.
            for work in works:
                work.outcome = "unknown" if work.trouble else "done"
                work.error = f"It cannot be read back: {error}"
            await self._record(works)
            return
        self.trouble = f"What was sent cannot be read back: {error}"

    # -- held back ----------------------------------------------------------------------------------------

    def _note_losers(self) -> None:
        """Who was to be given something and was not: e-mail -> where; "" for everywhere."""
        self._held = {}
        for work in self.works:
            change = work.step.change
            if change.kind not in GIVING or work.outcome in GOOD:
                continue
            if change.oid and not change.gid:
                self._held.setdefault(change.principal.casefold(), set()).add(change.oid)
            elif change.kind in ("add_member", "add_owner"):
                self._held.setdefault(change.principal.casefold(), set()).add("")
            else:
                for email in self._members.get(change.gid, ()):
                    self._held.setdefault(email.casefold(), set()).add("")
            if change.kind == "add_owner":
                self._held.setdefault(change.gid, set()).add("")

    def _not_held_back(self, works: list[Work]) -> list[Work]:
        """Steps that may be made: nobody loses anything because what was to replace it could not be given."""
        left = []
        for work in works:
            change = work.step.change
            whom: set[str] = set()
            if change.kind in ("remove_member", "revoke", "remove_user"):
                whom = {change.principal}
            elif change.kind in ("remove_org", "remove_group_permission"):
                whom = self._members.get(change.gid, set())
            elif change.kind == "delete_group":
                whom = set(work.step.before["members"])
            direct = change.oid if not change.gid else ""
            for email in sorted(whom):
                where = self._held.get(email.casefold())
                if where and ("" in where or not direct or direct in where):
                    work.outcome = "held back"
                    work.error = f"What {email} was to be given could not be given, so nothing is taken."
                    break
            if change.kind == "remove_owner" and change.gid in self._held:
                work.outcome, work.error = "held back", "The new owner could not be added."
            if work.outcome not in FINAL:
                left.append(work)
        return left

    # -- writing down -------------------------------------------------------------------------------------

    async def _intend(
        self,
        works: list[tuple[Work, dict[str, Any]]],
        settled: Sequence[Work] = (),
        target: _Target | None = None,
    ) -> None:
        """Write down what is about to be sent, with what is there; and what came of other steps."""

        def write(c: Connection) -> list[int]:
            numbers = []
            for work, before in works:
                detail = {
                    "step": "intent", "plan": self.plan.id, "seq": work.step.seq, "by": self._operator,
                    "before": before,
                }  # fmt: skip
                if work.intent is not None:
                    detail["again"] = work.intent
                number = self._journal(c, work, detail)
                planwork.intend(c, self.plan.id, work.step.seq, number)
                numbers.append(number)
            self._settle(c, settled, target)
            if settled and target is not None:
                target.keep(c)
            return numbers

        if works or settled:
            numbers = await self._keeper.write(write)
            for (work, _), number in zip(works, numbers, strict=True):
                work.intent, work.outcome, work.error = number, "sending", ""
            self._tell()

    async def _record(self, works: Sequence[Work], target: _Target | None = None) -> None:
        """Write down what came of steps, and what was read of it."""

        def write(c: Connection) -> None:
            self._settle(c, works, target)
            if target is not None:
                target.keep(c)

        if works:
            await self._keeper.write(write)
            self._tell()

    def _settle(self, c: Connection, works: Sequence[Work], target: _Target | None) -> None:
        for work in works:
            planwork.settle(
                c, self.plan.id, work.step.seq, work.outcome, now=self._clock(), error=work.error,
                made=work.made,
            )  # fmt: skip
            if work.intent is None or work.outcome == "sending":
                continue
            detail: dict[str, Any] = {
                "step": "result", "intent": work.intent, "plan": self.plan.id, "seq": work.step.seq,
                "outcome": work.outcome,
            }  # fmt: skip
            if work.error:
                detail["error"] = work.error
            if work.made:
                detail["gid"] = work.made
            if target is not None and work.change.kind != "create_group":
                gone = isinstance(target, _Group) and target.gone
                detail["after"] = {"gone": True} if gone else target.fact(work.change)
            self._journal(c, work, detail)

    def _journal(self, c: Connection, work: Work, detail: dict[str, Any]) -> int:
        change = work.change
        target = accesslines.words(work.step.change, self._names)
        return journal.append(
            c, actor(), f"access.{change.kind}", change.oid, target, detail, now=self._clock()
        )

    def _tell(self) -> None:
        if self._report is None:
            return
        # Not after each of thousands of changes: all of them are counted each time.
        moment = time.monotonic()
        if moment >= self._told + TOLD:
            self._told = moment
            done = sum(work.outcome in FINAL for work in self.works)
            self._report(Progress(done, len(self.works), "changes"))


def _folded(values: Iterable[str]) -> set[str]:
    return {value.casefold() for value in values}
