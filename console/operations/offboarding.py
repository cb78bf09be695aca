"""Offboarding: what is done, in which order, when a customer leaves.

It is a run (`console.operations.runs`) about one organization. What is kept comes first: without a whole
export and the final report nothing is taken. Then everything goes that others hold of it, then what it holds,
and the organization itself last, with LimaCharlie's own confirmation. By what the credential works (groups,
the user's own grant, its own key) stays until then. A group that holds other organizations stays, and so do
the people in it; who is a user of other organizations stays one.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.limacharlie.credentials import OrganizationKey
from console.limacharlie.errors import Denied
from store.access import counted
from store.forgetting import HOLD
from store.offboarding import DATA, PARTS, Checklist, Line
from store.queries.organizations import OrganizationDetail, organization
from store.queries.scopes import NODE, ORGANIZATION, marked
from store.runs import Planned, PlannedItem, PlannedStep
from store.text import Untrusted, safe_text
from store.times import now_ms

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store


class OffboardError(Exception):
    """It cannot be planned; the text is the sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How an organization is offboarded."""

    directory: Path
    """Where the export and the report are written to."""
    keep: frozenset[str] = frozenset()
    """Of PARTS: what is left."""
    report: bool = True
    incomplete: bool = False
    """An export is good enough though not everything could be read."""


@dataclass(frozen=True)
class Drafted:
    """What would be done, and what stays."""

    planned: Planned
    checklist: Checklist


@dataclass(frozen=True, slots=True)
class Own:
    """By what the credential itself works in the organization."""

    emails: frozenset[str]
    """In lower case."""
    key: str
    """The name of an organization's key; "" of a user."""

    def has_key(self, key: Any) -> bool:
        """Whether an API key is the one that is used."""
        return bool(self.key) and str(key.get("name", "")) == self.key


async def own_of(cloud: "Cloud") -> Own:
    """By what the credential works."""
    ident = (await cloud.who()).ident
    if isinstance(cloud.credentials, OrganizationKey):
        return Own(frozenset(), ident)
    # A user's API key is called `NAME@ADDRESS` (LimaCharlie's documentation, "Resource ACLs").
    _, _, rest = ident.partition("@")
    return Own(frozenset(each.casefold() for each in (ident, rest) if "@" in each), "")


async def draft(
    store: "Store", cloud: "Cloud", oid: str, wish: Wish, *, brands: Path | None = None
) -> Drafted:
    """What offboarding would do now; nothing is changed.

    Args:
        brands: the directory of the provider's brands for reports.

    Raises:
        OffboardError: a part is not known, or the organization is not.
        LimaCharlieError: it cannot be read.
    """
    return (await offer(store, cloud, oid, wish, brands=brands))(wish.keep)


async def offer(
    store: "Store", cloud: "Cloud", oid: str, wish: Wish, *, brands: Path | None = None
) -> Callable[[frozenset[str]], Drafted]:
    """The same for somebody who has still to choose what is kept: a pure function of that.

    Args, Raises: as `draft`.
    """
    unknown = sorted(wish.keep - set(PARTS))
    if unknown:
        raise OffboardError(f"There is no part {unknown[0][:40]!a}; there are {', '.join(PARTS)}.")

    def look() -> tuple[Any, Any, bool, Line]:
        with store.reader.reading() as c:
            row = c.execute(ORGANIZATION.select().where(ORGANIZATION.c.oid == oid)).one_or_none()
            node = c.execute(NODE.select().where(NODE.c.oid == oid)).one_or_none()
            work = _work(organization(c, oid, now=now_ms()))
            return row, node, bool(marked(c, HOLD, [oid])), work

    row, node, held, work = await asyncio.to_thread(look)
    if row is None:
        raise OffboardError(f"There is no organization {oid} in the store.")
    if row.gone_at is not None:
        raise OffboardError(
            f"LimaCharlie lists {safe_text(row.name, 60)} no more; `limegrove org forget` takes it out of "
            "the store."
        )
    reading = _Reading(cloud, oid, await own_of(cloud))
    await reading.all()

    def drafted(keep: frozenset[str]) -> Drafted:
        return _drafted(reading, replace(wish, keep=keep), row.name, node, held, str(brands or ""), work)

    return drafted


def _work(found: OrganizationDetail | None) -> Line:
    """What of it is still to be done by somebody, as far as the store knows."""
    alerts, cases = (None, None) if found is None else (found.row.open_alerts, found.row.cases)
    late = found.row.late if found is not None else 0
    said = [
        "alerts unknown" if alerts is None else f"{counted(alerts, 'open alert')}",
        *([f"{late:,} past SLA"] if late else ()),
        "cases unknown" if cases is None else f"{counted(cases, 'open case')}",
    ]
    open_ = alerts is None or cases is None or alerts or cases
    return Line("work", ", ".join(said) if open_ else "none", 0, "nothing closes it" if open_ else "")


def _drafted(
    reading: "_Reading", wish: Wish, name: str, node: Any, held: bool, brands: str, work: Line
) -> Drafted:
    lines, steps = _checklist(reading, wish, node, held=held)
    lines.insert(0, work)
    notes = list(reading.notes)
    if held:
        notes.append(
            f"It carries the mark {HOLD}: what keeps data of it (extensions, sensors, the organization "
            "itself) stays until that mark is taken away and it is offboarded again."
        )
    deletes = "organization" not in wish.keep and not held
    item = PlannedItem(reading.oid, name, {"brands": brands}, tuple(steps))
    options = {
        "keep": sorted(wish.keep),
        "deletes": deletes,
        "checklist": [
            {"part": each.part, "there": each.there, "steps": each.steps, "note": each.note} for each in lines
        ],
        "notes": notes,
    }
    planned = Planned("offboard", f"Offboard {name}", (item,), f"organization:{reading.oid}", options)
    return Drafted(
        planned, Checklist(reading.oid, Untrusted(name), tuple(lines), tuple(notes), deletes, wish.keep)
    )


class _Reading:
    """What there is of an organization in the cloud now."""

    def __init__(self, cloud: "Cloud", oid: str, own: Own) -> None:
        self._cloud, self._handle = cloud, cloud.organization(oid)
        self.oid, self.own = oid, own
        self.groups: list[dict[str, Any]] = []
        self.keys: dict[str, dict[str, Any]] = {}
        self.users: list[str] = []
        self.outputs: list[str] = []
        self.installation_keys: dict[str, str] = {}
        self.ingestion_keys: list[str] = []
        self.extensions: list[str] = []
        self.sensors: dict[str, str] = {}
        self.notes: list[str] = []

    async def all(self) -> None:
        """Read it.

        Raises:
            LimaCharlieError: it cannot be read.
        """
        handle = self._handle
        permissions = await handle.permissions()
        self.users = sorted(direct_users(permissions))
        self.keys = dict(sorted((await handle.keys()).items()))
        self.outputs = sorted(await handle.outputs())
        self.installation_keys = {
            iid: str(key.get("desc", "")) for iid, key in sorted((await handle.installation_keys()).items())
        }
        self.extensions = sorted(await handle.subscriptions())
        async for page in handle.sensors():
            self.sensors.update((str(row["sid"]), str(row.get("hostname", ""))) for row in page)
        try:
            self.ingestion_keys = sorted(await handle.ingestion_keys())
        except Denied as error:
            self.notes.append(f"Its ingestion keys are not seen, and stay until it is deleted: {error}")
        await self._groups(permissions)

    async def _groups(self, permissions: Any) -> None:
        named = {
            str(gid): str(group.get("name", gid))
            for gid, group in (permissions.get("group_info") or {}).items()
        }
        try:
            self.groups = [group for group in await self._cloud.groups() if self.oid in held_by(group)]
        except Denied:
            self.groups = []
        seen = {group["group_id"] for group in self.groups}
        for gid, name in sorted(named.items()):
            if gid not in seen:
                self.notes.append(
                    f"The group {safe_text(name, 60)} holds it and belongs to somebody else: only its owners "
                    "can take it out, unless it is deleted."
                )

    def is_own(self, group: Any) -> bool:
        """Whether the credential works by this group."""
        members = {email_of(each) for each in group.get("members") or ()}
        return bool(members & self.own.emails)


def held_by(group: Any) -> set[str]:
    """The oids that a group holds."""
    return {str(each.get("org_id", "")) for each in group.get("orgs") or ()}


def email_of(member: object) -> str:
    """Of a member of a group, in lower case."""
    return str(member.get("email", "") if isinstance(member, dict) else member).casefold()


def direct_users(permissions: Any) -> set[str]:
    """Who has access of his own, in lower case."""
    found = {str(email).casefold() for email in permissions["user_permissions"]}
    found.update(str(user.get("email", "")).casefold() for user in permissions.get("direct_users") or ())
    return found - {""}


def _checklist(
    reading: _Reading, wish: Wish, node: Any, *, held: bool
) -> tuple[list[Line], list[PlannedStep]]:
    lines: list[Line] = []
    steps: list[PlannedStep] = []
    deletes = "organization" not in wish.keep and not held

    def put(part: str, text: str, some: Collection[PlannedStep], note: str = "") -> None:
        lines.append(Line(part, text, len(some), note))
        steps.extend(some)

    if node is not None:
        put("mark", "leaving", [PlannedStep("node.mark", node.id, {"mark": "leaving"}, needed=False)])
    arguments = {"incomplete": wish.incomplete}
    put(
        "export", str(wish.directory), [PlannedStep("offboard.export", str(wish.directory), arguments)],
        "secrets are not in it",
    )  # fmt: skip
    if wish.report:
        put("report", str(wish.directory), [PlannedStep("offboard.report", str(wish.directory))])
    else:
        put("report", "none", [], "left out, as asked for")
    last = _groups(reading, wish, put)
    _own_things(reading, wish, put, last)
    extensions = [PlannedStep("extension.unsubscribe", name, needed=False) for name in reading.extensions]
    sensors = [
        PlannedStep("sensor.delete", sid, {"hostname": hostname or sid}, needed=False)
        for sid, hostname in sorted(reading.sensors.items())
    ]
    for part, some in (("extensions", extensions), ("sensors", sensors)):
        why = "as asked for" if part in wish.keep else f"it carries the mark {HOLD}" if held else ""
        put(part, _named(len(some)), [] if why else some, f"stay: {why}" if why and some else "")
    # Of groups only their deletion is left out: it is taken out of them all the same.
    left = {*(wish.keep - {"groups"}), "organization", *(DATA if held else ())}
    watched = [part for part in PARTS if part not in left]
    look = {"what": ", ".join(watched) or "nothing", "parts": watched}
    put("look", "what was to go", [PlannedStep("offboard.cleared", "", look, needed=False)])
    if deletes:
        # What is its own goes with it.
        last = [step for step in last if step.verb.startswith("group.")]
        put("organization", "deleted", [PlannedStep("organization.delete", reading.oid)])
    else:
        why = "as asked for" if "organization" in wish.keep else f"it carries the mark {HOLD}"
        lines.append(Line("organization", "stays", 0, why))
    if deletes or "organization" in wish.keep:
        put(
            "own access",
            _named(len(last)),
            last,
            "the last thing that is taken" if last else "",
        )
    else:
        lines.append(Line("own access", "stays", 0, "whoever keeps it has to reach it"))
    return lines, steps


def _groups(reading: _Reading, wish: Wish, put: Any) -> list[PlannedStep]:
    """Take it out of its groups; answers the steps about those by which the credential works."""
    early: list[PlannedStep] = []
    last: list[PlannedStep] = []
    shared = 0
    for group in sorted(reading.groups, key=lambda each: str(each["group_id"])):
        gid, name = str(group["group_id"]), str(group.get("name", ""))
        into = last if reading.is_own(group) else early
        into.append(PlannedStep("group.remove-organization", gid, {"group": name}, needed=False))
        if held_by(group) == {reading.oid} and "groups" not in wish.keep:
            into.append(PlannedStep("group.delete", gid, {"group": name}, needed=False))
        else:
            shared += 1
    note = f"{shared:,} stay, with what they give elsewhere" if shared else ""
    if "groups" in wish.keep and reading.groups:
        note = "it is taken out of them; none is deleted, as asked for"
    put("groups", _named(len(reading.groups)), early, note)
    return last


def _own_things(reading: _Reading, wish: Wish, put: Any, last: list[PlannedStep]) -> None:
    """Keys, users, outputs, installation and ingestion keys; the credential's own go to `last`."""
    keys: list[PlannedStep] = []
    for key_hash, key in reading.keys.items():
        step = PlannedStep("key.revoke", key_hash, {"name": str(key.get("name", ""))}, needed=False)
        (last if reading.own.has_key(key) else keys).append(step)
    users: list[PlannedStep] = []
    for email in reading.users:
        step = PlannedStep("user.remove", email, needed=False)
        (last if email in reading.own.emails else users).append(step)
    outputs = [PlannedStep("output.remove", name, needed=False) for name in reading.outputs]
    installation = [
        PlannedStep("installation-key.remove", desc, {"iid": iid}, needed=False)
        for iid, desc in reading.installation_keys.items()
    ]
    ingestion = [PlannedStep("ingestion-key.remove", name, needed=False) for name in reading.ingestion_keys]
    found = (
        ("keys", keys, len(reading.keys)), ("users", users, len(reading.users)),
        ("outputs", outputs, len(outputs)), ("installation-keys", installation, len(installation)),
        ("ingestion-keys", ingestion, len(ingestion)),
    )  # fmt: skip
    for part, some, total in found:
        if part in wish.keep:
            put(part, _named(total), [], "stay: as asked for" if total else "")
            continue
        own = total - len(some)
        put(part, _named(total), some, "ours stays to the end" if own else "")
    for part, verb in (("keys", "key.revoke"), ("users", "user.remove")):
        if part in wish.keep:
            last[:] = [step for step in last if step.verb != verb]


def _named(number: int) -> str:
    return "none" if not number else f"{number:,}"


async def still_there(cloud: "Cloud", oid: str, parts: Collection[str]) -> list[str]:
    """What is left of these parts, in words; by what the credential works is left out.

    Raises:
        LimaCharlieError: it cannot be read.
    """
    reading = _Reading(cloud, oid, await own_of(cloud))
    await reading.all()
    own = reading.own
    left = {
        "groups": [str(group.get("name", "")) for group in reading.groups if not reading.is_own(group)],
        "keys": [str(key.get("name", "")) for key in reading.keys.values() if not own.has_key(key)],
        "users": [email for email in reading.users if email not in own.emails],
        "outputs": reading.outputs,
        "installation-keys": list(reading.installation_keys.values()),
        "ingestion-keys": reading.ingestion_keys,
        "extensions": reading.extensions,
        "sensors": list(reading.sensors.values()),
    }
    return [
        f"{part}: {', '.join(safe_text(name, 40) or '(without a name)' for name in names[:3])}"
        + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
        for part, names in left.items()
        if part in parts and names
    ]


def directory_for(home: Path, environment: str, oid: str, now: int) -> Path:
    """Where an export goes that nobody named a place for: one for each organization and day.

    Args:
        home: the workspace.
        now: milliseconds, UTC.
    """
    stamp = time.strftime("%Y%m%d", time.gmtime(now / 1000))
    return home / environment / "offboarded" / f"{oid[:8]}-{stamp}"
