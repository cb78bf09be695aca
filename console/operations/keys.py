"""API keys: made, handed over once, rotated with an overlap, revoked.

The secret of a new key exists in one answer of the cloud and nowhere else. It is held as a `Secret` in memory
until it is handed over: shown once, or written into the organization's own secret hive under the etag that
was read, and read back. Neither the store nor the journal, a log or a crash file ever has it.

A key is made once. After an unclear answer the keys are read: one of that name which was not there before is
a key whose secret nobody holds, to be deleted, and never a reason to try again. The intent stands in the
journal until the secret was handed over, so a key whose maker died in between is found as well
(`store.queries.apikeys.unheld`).
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.limacharlie.errors import Ambiguous, Conflict, Denied, Gone, LimaCharlieError
from console.limacharlie.hive import ABSENT, Expected, HiveMetadata
from console.operations import accessplans, deadlines
from console.operations.ports import Progress, Report
from console.redaction import remember
from store import accessplans as plans
from store import ingest
from store.accesschanges import AccessChange
from store.errors import StoreError
from store.journal import append
from store.keyrecipes import (
    PARAMETER,
    KeyProblem,
    KeyWanted,
    Recipe,
    check_range,
    flairs,
    hive_name_problem,
    read_recipes,
    same_range,
)
from store.permissions import is_privileged
from store.queries.apikeys import KeyRow, ending, named, range_for, unheld
from store.queries.queue import names_of
from store.secret import Secret
from store.text import safe_text
from store.times import now_ms
from store.yaml import Problem

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.limacharlie.client import Cloud, OrganizationHandle
    from store.database import Store

HIVE = "secret"
OVERLAP = 24 * 3_600_000
"""Milliseconds that the old key of a rotation stays good for."""
SIDE_BY_SIDE = 8
"""Organizations in which keys are made at the same time."""
TOKENS = "Tokens that were made with it stay good for up to an hour."
"""A deleted key's tokens live on until they expire (`api-keys.md`: a token is valid for one hour)."""


class Refused(Exception):
    """Nothing was sent; the text is the sentence for the operator."""


class NotAllowed(Refused):
    """The console is read-only, or the credential may not do this."""


class WrongName(Refused):
    """The name of a protected organization was not typed."""


class Taken(Refused):
    """There is a key, or a secret, of this name already."""


@dataclass(frozen=True)
class Made:
    """What became of a key that was wanted."""

    oid: str
    organization: str
    name: str
    outcome: str
    """`created`; `stored`: and its secret is in the hive; `unstored`: made, and its secret is not in the
    hive; `unheld`: made, and nobody has its secret; `absent`: the answer was lost, and it is not there;
    `unknown`: nobody can tell; `denied`, `failed`, `refused`: not made."""
    sentence: str
    key_hash: str = ""
    permissions: tuple[str, ...] = ()
    allowed_ip_range: str = ""
    hive: str = ""
    """Name of the secret that it was to be written to."""
    intent: int = 0
    """Number of the journal's entry from before it was sent."""
    action: str = "key.create"
    notes: tuple[str, ...] = ()
    """What has to be said besides."""
    secret: Secret | None = field(default=None, repr=False, compare=False)
    """Until it is handed over."""

    @property
    def good(self) -> bool:
        """Whether it is there, as it was wanted, for all that is known."""
        return self.outcome in ("created", "stored")

    @property
    def orphaned(self) -> bool:
        """Whether there is a key whose secret nobody holds, unless `secret` is handed over."""
        return bool(self.key_hash) and self.outcome in ("unheld", "unstored")

    def revocation(self) -> AccessChange:
        """What deletes it."""
        return AccessChange("delete_key", oid=self.oid, principal=self.key_hash)


@dataclass(frozen=True)
class Rotated:
    """A new key beside the old one."""

    made: Made
    old: str
    """Hash of the key that goes."""
    ends_at: int | None = None
    """When the old one is deleted (ms); None while the new one was not handed over."""
    sentence: str = ""


def own_recipes(file: Path) -> tuple[list[Recipe], list[Problem]]:
    """The provider's own recipes, and what is wrong with their file; without a file neither.

    Raises:
        Refused: the file is there and cannot be read.
    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise Refused(f"The recipes in {file} cannot be read: {error.strerror}.") from None
    return read_recipes(text)


def range_of(connection: "Connection", oid: str, otherwise: str) -> str:
    """From where a new key of an organization is used: as the tree says, else as the settings do.

    Raises:
        KeyProblem: the tree's parameter is no range.
    """
    said = range_for(connection, oid)
    if not said:
        return otherwise
    try:
        return check_range(said)
    except KeyProblem as error:
        raise KeyProblem(f"The tree's parameter {PARAMETER}: {error}") from None


async def create(
    oid: str,
    wanted: KeyWanted,
    *,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    to_hive: str = "",
    overwrite: bool = False,
    reason: str = "",
) -> Made:
    """Make one key.

    Args:
        confirm: the organization's name; asked for where it is protected.
        to_hive: the name of a secret in the organization's hive, which takes the key's; else the caller hands
            `Made.secret` over, and says so to `delivered`.
        overwrite: a secret of that name may be there, and is replaced.
        reason: why, for the journal.

    Raises:
        Refused: nothing was sent; its subclasses say why.
        LimaCharlieError: the keys could not be read before; nothing was sent.
        StoreError: the intent could not be written down; nothing was sent.
    """
    _refuse_read_only(cloud)
    name = await _confirmed(store, oid, confirm)
    handle = cloud.organization(oid)
    keys = await _keys(handle, name)
    if any(each.get("name") == wanted.name for each in keys.values()):
        await _keep(store, oid, keys)
        await _refuse_unheld(store, oid, name, wanted.name)
        raise Taken(
            f"{name} has a key {safe_text(wanted.name, 80)} already. The audit log tells keys apart by "
            "nothing but their names: take another one, or rotate that key. Nothing was sent."
        )
    return await _make(
        handle, name, wanted, keys, store=store, operator=operator, to_hive=to_hive, overwrite=overwrite,
        reason=reason, action="key.create",
    )  # fmt: skip


async def create_many(
    wanted: Mapping[str, KeyWanted],
    *,
    to_hive: str,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    overwrite: bool = False,
    reason: str = "",
    report: Report = lambda _progress: None,
) -> list[Made]:
    """Make one key in each of these organizations, each secret straight into its organization's hive.

    What happens in one organization is no reason to leave the others; each is one result, by name.

    Args:
        wanted: what is wanted, by oid.
        confirm: what has to be typed for protected organizations: `store.accessplans.phrase`.

    Raises:
        NotAllowed: the console is read-only; nothing was sent.
        WrongName: that was not typed; nothing was sent.
    """
    _refuse_read_only(cloud)
    names = await _names(store, wanted)
    await _confirmed_all(store, names, confirm)
    turns = asyncio.Semaphore(SIDE_BY_SIDE)
    done = 0

    async def one(oid: str) -> Made:
        nonlocal done
        async with turns:
            try:
                made = await create(
                    oid, wanted[oid], store=store, cloud=cloud, operator=operator, confirm=oid,
                    to_hive=to_hive, overwrite=overwrite, reason=reason,
                )  # fmt: skip
            except (Refused, LimaCharlieError, StoreError) as error:
                made = Made(oid, names[oid], wanted[oid].name, "refused", str(error), hive=to_hive)
            done += 1
            report(Progress(done, len(wanted), "keys"))
            return made

    found = await asyncio.gather(*(one(oid) for oid in wanted))
    return sorted(found, key=lambda made: (made.organization.casefold(), made.oid))


async def rotate(
    oid: str,
    key_hash: str,
    *,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    overlap: int = OVERLAP,
    confirm: str = "",
    to_hive: str = "",
    allowed_ip_range: str | None = None,
    reason: str = "",
    now: int | None = None,
) -> Rotated:
    """Make a key of the same name, permissions and range beside this one, which then goes.

    The old one is deleted `overlap` after the new one was handed over: with `to_hive` here, else by `settle`.

    Args:
        key_hash: of the old one.
        overlap: milliseconds; 0 deletes it at once.
        to_hive: the name of the secret that holds the key, and is written over.
        allowed_ip_range: another one for the new key, checked; None keeps that of the old one.

    Raises:
        Refused: nothing was sent; its subclasses say why.
        LimaCharlieError: the keys could not be read before; nothing was sent.
        StoreError: the intent could not be written down; nothing was sent.
    """
    _refuse_read_only(cloud)
    name = await _confirmed(store, oid, confirm)
    handle = cloud.organization(oid)
    keys = await _keys(handle, name)
    await _keep(store, oid, keys)
    old = keys.get(key_hash)
    if old is None:
        raise Refused(f"{name} has no key {safe_text(key_hash, 60)} any more; nothing was sent.")
    if (when := (await _read(store, ending)).get((oid, key_hash))) is not None:
        raise Refused(
            f"The key {safe_text(str(old.get('name')), 80)} of {name} was rotated already, and goes at "
            f"{_when(when)}; rotate the newer one of this name. Nothing was sent."
        )
    await _refuse_unheld(store, oid, name, str(old.get("name")))
    permissions = tuple(str(each) for each in old.get("priv") or ())
    wide = str(old.get("allowed_ip_range") or "")
    wanted = KeyWanted(
        str(old.get("name") or ""), permissions, wide if allowed_ip_range is None else allowed_ip_range
    )
    notes: list[str] = []
    if not wanted.allowed_ip_range:
        notes.append("THIS KEY WORKS FROM EVERYWHERE, as the old one does.")
    if masters := [each for each in permissions if is_privileged(each)]:
        notes.append(f"THIS KEY IS MASTER OF ITS ORGANIZATION: it has {', '.join(masters)}, as the old one.")
    if "segment" in flairs(wanted.name):
        notes.append("[segment]: the new key sees nothing of what was made with the old one.")
    made = await _make(
        handle, name, replace(wanted, notes=tuple(notes)), keys, store=store, operator=operator,
        to_hive=to_hive, overwrite=True, reason=reason, action="key.rotate", old=key_hash,
    )  # fmt: skip
    rotated = Rotated(made, key_hash, sentence=made.sentence)
    if made.outcome != "stored":
        return rotated
    try:
        return await settle(
            rotated,
            store=store,
            cloud=cloud,
            operator=operator,
            how=f"hive:{to_hive}",
            overlap=overlap,
            now=now,
        )
    except StoreError as error:
        said = f"{made.sentence} The old one STAYS: that it goes could not be written down: {error}"
        return replace(rotated, sentence=said)


async def settle(
    rotated: Rotated,
    *,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    how: str,
    overlap: int = OVERLAP,
    now: int | None = None,
) -> Rotated:
    """The new key of a rotation was handed over: from now on the old one's days are counted.

    Both are written in one transaction, so no old key goes whose successor nobody holds.

    Raises:
        StoreError: it could not be written down; the old key stays.
    """
    moment = now_ms() if now is None else now
    made, ends_at = rotated.made, moment + overlap
    title = f"The old key {safe_text(made.name, 80)} of {safe_text(made.organization, 80)} is deleted"

    def write() -> int:
        with store.writing() as connection:
            deadline = deadlines.put(
                connection, "rotation", ends_at,
                [AccessChange("delete_key", oid=made.oid, principal=rotated.old)],
                title=title, by=operator, now=moment,
            )  # fmt: skip
            detail = {"how": how, "key_hash": made.key_hash, "old": rotated.old, "deadline": deadline}
            _append(connection, operator, made, "delivered", detail)
        return deadline

    deadline = await asyncio.to_thread(write)
    if overlap > 0:
        return replace(
            rotated, ends_at=ends_at, sentence=f"{made.sentence} The old one is deleted at {_when(ends_at)}."
        )
    done = await deadlines.due(store, cloud, moment, operator=operator, ids=[deadline])
    if done and done[0].outcome == "failed":
        said = f"The old one is still there, and its deletion is tried again: {done[0].reason}"
        return replace(rotated, ends_at=ends_at, sentence=f"{made.sentence} {said}")
    return replace(rotated, ends_at=ends_at, sentence=f"{made.sentence} The old one is deleted. {TOKENS}")


async def delivered(made: Made, how: str, *, store: "Store", operator: str) -> None:
    """Note that a new key's secret was handed over, and how: `shown`, `copied`, `stdout`. Never what it is.

    Raises:
        StoreError: it could not be written down; the key is then listed as one that nobody holds.
    """

    def write() -> None:
        with store.writing() as connection:
            _append(connection, operator, made, "delivered", {"how": how, "key_hash": made.key_hash})

    await asyncio.to_thread(write)


def revocation(
    keys: Sequence[KeyRow] | Sequence[Made],
    *,
    store: "Store",
    operator: str,
    reason: str = "",
    now: int | None = None,
) -> int:
    """Draft the plan that deletes these keys; its number. `revoke` applies it.

    Raises:
        PlanError: there is nothing to plan.
    """
    changes = [AccessChange("delete_key", oid=each.oid, principal=str(each.key_hash)) for each in keys]
    organizations = len({each.oid for each in keys})
    first = safe_text(keys[0].name, 60) if keys else ""
    title = (
        f"Revoke {first} of {safe_text(keys[0].organization, 60)}"
        if len(keys) == 1
        else f"Revoke {len(keys):,} keys of {organizations:,} organization{'' if organizations == 1 else 's'}"
    )
    if reason:
        title += f": {safe_text(reason, 200)}"
    with store.writing() as connection:
        return plans.draft(
            connection, changes, title=title, by=operator, now=now_ms() if now is None else now, source="keys"
        )


async def revoke(
    plan: int,
    *,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    report: Report | None = None,
) -> accessplans.Outcome:
    """Delete the keys of a plan, each with its own result; carries on where it was cut off.

    Raises:
        accessplans.Refused: nothing was sent.
    """
    return await accessplans.apply(
        plan, store=store, cloud=cloud, operator=operator, confirm=confirm, report=report
    )


# Making one


def _refuse_read_only(cloud: "Cloud") -> None:
    if cloud.read_only:
        raise NotAllowed("This console is read-only, and this would make a key; nothing was sent.")


async def _make(
    handle: "OrganizationHandle",
    organization: str,
    wanted: KeyWanted,
    before: Mapping[str, Mapping[str, Any]],
    *,
    store: "Store",
    operator: str,
    to_hive: str,
    overwrite: bool,
    reason: str,
    action: str,
    old: str = "",
) -> Made:
    slot = await _slot(handle, organization, wanted.name, to_hive, overwrite=overwrite) if to_hive else None
    made = Made(
        handle.oid, organization, wanted.name, "failed", "", permissions=wanted.permissions,
        allowed_ip_range=wanted.allowed_ip_range, hive=to_hive, action=action, notes=wanted.notes,
    )  # fmt: skip
    detail = {
        "permissions": list(wanted.permissions), "allowed_ip_range": wanted.allowed_ip_range,
        "recipe": wanted.recipe, "hive": to_hive, "reason": reason, "old": old,
        "known": sorted(key for key, each in before.items() if each.get("name") == wanted.name),
    }  # fmt: skip
    made = replace(made, intent=await _note(store, operator, made, "intent", detail))
    shown = safe_text(wanted.name, 80)
    try:
        created = await handle.create_key(wanted.name, wanted.permissions, wanted.allowed_ip_range)
    except Ambiguous as error:
        return await _look(handle, made, before, str(error), store=store, operator=operator)
    except LimaCharlieError as error:
        outcome = "denied" if isinstance(error, Denied) else "failed"
        await _note(store, operator, made, "result", {"outcome": outcome, "error": str(error)})
        said = f"The key {shown} of {organization} was not made: {error}"
        return replace(made, outcome=outcome, sentence=said)
    remember(created.api_key)
    made = replace(
        made, outcome="created", key_hash=created.key_hash, secret=created.api_key,
        sentence=f"{organization} has the key {shown}.",
    )  # fmt: skip
    # From here on nothing may be raised: the one thing that cannot be had again is in `made`.
    made = await _noted(store, operator, made, "result", {"outcome": "created", "key_hash": created.key_hash})
    made = await _read_back(handle, made, store=store)
    if slot is not None:
        made = await _put_away(handle, made, slot, store=store, operator=operator)
    return made


async def _look(
    handle: "OrganizationHandle",
    made: Made,
    before: Mapping[str, Mapping[str, Any]],
    trouble: str,
    *,
    store: "Store",
    operator: str,
) -> Made:
    """After an unclear answer: whether there is a key of this name that was not there before."""
    shown, organization = safe_text(made.name, 80), made.organization
    try:
        keys = await handle.keys()
    except LimaCharlieError as error:
        detail = {"outcome": "unknown", "error": trouble, "not_read_back": str(error)}
        await _note(store, operator, made, "result", detail)
        said = (
            f"Whether {organization} has the key {shown} now cannot be told: {trouble} Its keys cannot be "
            f"read either: {error} Look at its keys before anything else; nothing is tried again."
        )
        return replace(made, outcome="unknown", sentence=said)
    await _keep(store, handle.oid, keys)
    new = sorted(key for key, each in keys.items() if each.get("name") == made.name and key not in before)
    if not new:
        await _note(store, operator, made, "result", {"outcome": "absent", "error": trouble})
        said = f"The answer was lost, and {organization} has no key {shown}: it was not made. {trouble}"
        return replace(made, outcome="absent", sentence=said)
    await _note(
        store, operator, made, "result", {"outcome": "unheld", "error": trouble, "key_hash": new[0]}
    )  # fmt: skip
    said = (
        f"{organization} has a key {shown} ({safe_text(new[0], 12)}) whose secret nobody holds: the answer "
        "that had it was lost. Delete it, then make another."
    )
    return replace(made, outcome="unheld", key_hash=new[0], sentence=said)


async def _read_back(handle: "OrganizationHandle", made: Made, *, store: "Store") -> Made:
    """Whether the cloud has the key as it was wanted, from where it was wanted."""
    try:
        keys = await handle.keys()
        await _keep(store, handle.oid, keys)
    except (LimaCharlieError, StoreError) as error:
        return replace(made, notes=(*made.notes, f"The key was made, and could not be read back: {error}"))
    there = keys.get(made.key_hash)
    if there is None:
        return replace(made, notes=(*made.notes, "The cloud does not list the key yet; look again."))
    notes = list(made.notes)
    if set(there.get("priv") or ()) != set(made.permissions):
        notes.append(f"THE CLOUD GAVE IT OTHER PERMISSIONS: {', '.join(sorted(there.get('priv') or ()))}.")
    listed = str(there.get("allowed_ip_range") or "")
    if not same_range(listed, made.allowed_ip_range):
        notes.append(
            f"THE CLOUD LETS IT BE USED FROM {listed or 'EVERYWHERE'}, not from the range asked for."
        )
    return replace(made, notes=tuple(notes))


# The secret hive


@dataclass(frozen=True)
class _Slot:
    """Where a secret goes, as it was read."""

    key: str
    expected: Expected
    metadata: HiveMetadata


async def _slot(
    handle: "OrganizationHandle", organization: str, name: str, key: str, *, overwrite: bool
) -> _Slot:
    """Read the secret that is to be written, before there is anything to be written.

    Raises:
        Refused: it cannot be written.
        LimaCharlieError: it cannot be read.
    """
    if problem := hive_name_problem(key):
        raise Refused(f"{problem} Nothing was sent.")
    try:
        record = await handle.hive_metadata(HIVE, key)
    except Gone as gone:
        if gone.code != "RECORD_NOT_FOUND":
            raise
        comment = f"API key {safe_text(name, 120)}"
        return _Slot(key, ABSENT, HiveMetadata(enabled=True, expiry=0, tags=(), comment=comment, others={}))
    except Denied as error:
        raise NotAllowed(
            f"The secrets of {organization} cannot be read: {error} Nothing was sent."
        ) from error
    if not overwrite:
        raise Taken(
            f"{organization} has a secret {safe_text(key, 80)} already; say that it is to be written over, "
            "or take another name. Nothing was sent."
        )
    return _Slot(key, record.etag, replace_enabled(HiveMetadata.of(record)))


def replace_enabled(metadata: HiveMetadata) -> HiveMetadata:
    """The same, switched on: a secret that is off is none."""
    import msgspec

    return msgspec.structs.replace(metadata, enabled=True)


async def _put_away(
    handle: "OrganizationHandle", made: Made, slot: _Slot, *, store: "Store", operator: str
) -> Made:
    """Write the secret into the hive under the etag that was read, and read it back. Raises nothing."""
    assert made.secret is not None  # noqa: S101  (asked by the caller)
    trouble = ""
    try:
        await handle.set_hive_record(
            HIVE, slot.key, {"secret": made.secret.reveal()}, slot.metadata, slot.expected
        )
    except Conflict:
        trouble = "somebody else wrote it meanwhile."
    except LimaCharlieError as error:
        trouble = str(error)
    there, reading = await _is_there(handle, slot, made.secret, sent=not trouble)
    shown = safe_text(slot.key, 80)
    if there:
        made = replace(
            made, outcome="stored", secret=None,
            sentence=f"{made.sentence} Its secret is in the hive, as {shown}.",
        )  # fmt: skip
        if reading:
            made = replace(made, notes=(*made.notes, reading))
        # A rotation notes it together with the deadline of the old key.
        if made.action == "key.rotate":
            return made
        return await _noted(
            store, operator, made, "delivered", {"how": f"hive:{slot.key}", "key_hash": made.key_hash}
        )
    why = " ".join(each for each in (trouble, reading) if each)
    return replace(
        made, outcome="unstored",
        sentence=f"{made.sentence} Its secret is NOT in the hive as {shown}: {why}",
    )  # fmt: skip


async def _is_there(
    handle: "OrganizationHandle", slot: _Slot, secret: Secret, *, sent: bool
) -> tuple[bool, str]:
    """Whether the hive has the secret now, and what kept anybody from seeing that."""
    try:
        record = await handle.hive_record(HIVE, slot.key)
        body = record.body if isinstance(record.body, Mapping) else {}
        held = body.get("secret")
        same = isinstance(held, str) and Secret(held) == secret
        return same, "" if same else "what is there is something else."
    except Denied:
        pass
    except LimaCharlieError as error:
        return False, f"it cannot be read back: {error}"
    # Whoever may write secrets and not read them sees that the record is another one.
    try:
        metadata = await handle.hive_metadata(HIVE, slot.key)
    except LimaCharlieError as error:
        return False, f"it cannot be read back: {error}"
    if sent and metadata.etag != slot.expected:
        return True, "The hive has taken it; this credential may not read secrets, so it was not compared."
    return False, "the hive has what it had before."


# The store and the journal


async def _keys(handle: "OrganizationHandle", organization: str) -> dict[str, dict[str, Any]]:
    try:
        return await handle.keys()
    except Denied as error:
        raise NotAllowed(f"The keys of {organization} cannot be read: {error} Nothing was sent.") from error


async def _refuse_unheld(store: "Store", oid: str, organization: str, name: str) -> None:
    """A second try would make a second key of this name.

    Raises:
        Taken: the first one is there, and nobody holds its secret.
    """
    found = await _read(store, lambda connection: named(connection, unheld(connection)))
    for row in found:
        if row.oid == oid and row.name == name:
            raise Taken(
                f"{organization} has a key {safe_text(name, 80)} ({safe_text(row.key_hash, 12)}) whose "
                "secret nobody holds; revoke that one first. Nothing was sent."
            )


async def _keep(store: "Store", oid: str, keys: Mapping[str, Any]) -> None:
    def write() -> None:
        with store.writing() as connection:
            ingest.put_keys(connection, oid, keys)

    await asyncio.to_thread(write)


async def _read(store: "Store", question: Any) -> Any:
    def read() -> Any:
        with store.reader.reading() as connection:
            return question(connection)

    return await asyncio.to_thread(read)


async def _names(store: "Store", oids: Collection[str]) -> dict[str, str]:
    found = await _read(store, lambda connection: names_of(connection, oids))
    return {oid: safe_text(found.get(oid, oid), 120) for oid in oids}


async def _confirmed(store: "Store", oid: str, typed: str) -> str:
    """The organization's name, safe to show, once what had to be typed was."""
    names = await _names(store, [oid])
    await _confirmed_all(store, names, typed)
    return names[oid]


async def _confirmed_all(store: "Store", names: Mapping[str, str], typed: str) -> None:
    held = await _read(store, lambda connection: plans.protected(connection, list(names)))
    if not plans.confirmed(held, typed):
        which = names[held[0][0]] if len(held) == 1 else f"{len(held):,} of these organizations"
        verb = "is" if len(held) == 1 else "are"
        raise WrongName(f"{which} {verb} protected: {plans.phrase(held)} has to be typed. Nothing was sent.")


async def _note(store: "Store", operator: str, made: Made, step: str, detail: dict[str, Any]) -> int:
    def write() -> int:
        with store.writing() as connection:
            return _append(connection, operator, made, step, detail)

    return await asyncio.to_thread(write)


async def _noted(store: "Store", operator: str, made: Made, step: str, detail: dict[str, Any]) -> Made:
    """As `_note`, for what must not be lost over a store that cannot be written."""
    try:
        await _note(store, operator, made, step, detail)
    except StoreError as error:
        return replace(made, notes=(*made.notes, f"The journal could not be written: {error}"))
    return made


def _append(connection: Any, operator: str, made: Made, step: str, detail: Mapping[str, Any]) -> int:
    told = {name: value for name, value in detail.items() if value not in ("", None, [])}
    if made.intent:
        told["intent"] = made.intent
    return append(connection, operator, made.action, made.oid, made.name, {"step": step, **told})


def _when(milliseconds: int) -> str:
    from store.times import rfc3339

    return (rfc3339(milliseconds // 1000 * 1000) or "").replace("T", " ").removesuffix("Z") + " UTC"
