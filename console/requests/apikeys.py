"""API keys: made, handed over once, rotated, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from console.limacharlie.errors import LimaCharlieError
from console.operations import accessplans, keys
from console.requests import Handler, Host, RefusedHere, read
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.dialogs.results import Item, Results
from screens.dialogs.show_secret import ShowSecret
from screens.dialogs.type_name import Name, TypeName
from screens.requests import CreateKey, RevokeKeys, RotateKey
from screens.widgets.text import content, line
from store import accessplans as plans
from store.errors import StoreError
from store.keyfilter import parse
from store.keyrecipes import (
    KeyProblem,
    KeyWanted,
    Recipe,
    check_range,
    hive_name_problem,
    recipes,
    wanted,
)
from store.queries.apikeys import KeyRow, every, left_alone, named
from store.queries.organizations import organizations
from store.text import safe_text
from store.times import age

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from screens.requests import Work

SHOWN = 4
"""Keys, or recipes, that a dialog writes out before it counts the rest."""
PROTECTED = 60
"""Protected organizations likewise: whoever types how many they are has to know which."""


# -- making ----------------------------------------------------------------------------------------------


async def create(host: Host, request: CreateKey) -> None:
    """Ask what it may do, make it, hand its secret over."""
    store, cloud = host.writing_store(), host.cloud()
    oid = request.oid or await _which(host)
    if not oid:
        return
    try:
        settings = host.settings
        own, problems = (
            await asyncio.to_thread(keys.own_recipes, settings.recipes) if settings is not None else ([], [])
        )
        otherwise = settings.key_range if settings is not None else ""
        name, allowed, held = await read(host, lambda connection: _about(connection, oid, otherwise))
    except (keys.Refused, KeyProblem) as error:
        raise RefusedHere(str(error)) from error
    known = recipes(own)
    answered = await host.ask(
        FillIn(
            asking(name, known, len(problems)),
            fields(allowed),
            does="make it",
            wrong=lambda values: _wrong(values, known),
            doubtful=lambda values: "\n".join(_key(values, known).notes),
        )
    )
    if answered is None:
        return
    key, hive = _key(answered, known), answered[4]
    confirm = await _typed(host, held, f"Make the key {safe_text(key.name, 80)} in ", name)
    if confirm is None:
        return
    host.say(f"Making the key {key.name}.")
    try:
        made = await keys.create(
            oid, key, store=store, cloud=cloud, operator=host.operator, confirm=confirm, to_hive=hive
        )
    except (keys.Refused, LimaCharlieError, StoreError) as error:
        raise RefusedHere(str(error)) from error
    how = await _hand_over(host, made)
    if how:
        await keys.delivered(made, how, store=store, operator=host.operator)
    elif made.orphaned or made.secret is not None:
        await _offer_deletion(host, made)
        return
    # What the dialog with the secret has said is not said again.
    _say(host, made, made.sentence, already=made.notes if how else key.notes)


async def _which(host: Host) -> str:
    def listed(connection: Connection) -> list[Choice]:
        rows = organizations(connection, scope=host.context.scope.node_id, now=host.context.clock())
        return [Choice(row.oid, row.name, row.path or row.name) for row in rows if not row.gone]

    choices = await read(host, listed)
    if not choices:
        raise RefusedHere("There is no organization in this scope to make a key in.")
    return await host.ask(ChooseOrganization(choices, title="A new key, in which organization?"))


def _about(connection: Connection, oid: str, otherwise: str) -> tuple[str, str, tuple[tuple[str, Any], ...]]:
    """An organization's name, from where its keys are used, and itself when it is protected."""
    names = {row.oid: str(row.name) for row in organizations(connection, now=0) if row.oid == oid}
    return names.get(oid, oid), keys.range_of(connection, oid, otherwise), plans.protected(connection, [oid])


def fields(allowed: str) -> list[Field]:
    """What is asked of a new key; `allowed` is from where it is used."""
    return [
        Field("name", hint="such as ticket-bot, or deploy[bulk]"),
        Field("recipe", hint="one of those above"),
        Field("also", hint="permissions besides, such as dr.list sensor.tag"),
        Field("range", allowed, hint="203.0.113.0/28, or anywhere to go without"),
        Field("hive", hint="a secret's name: straight into its secret hive; empty shows it"),
    ]


def asking(name: str, known: dict[str, Recipe], problems: int) -> Content:
    """An organization, and what its key can be made from; so many lines of the own recipes are wrong."""
    lines = [line(Content.styled("A new API key of  ", "bold"), (name, "bold"))]
    for recipe in list(known.values())[:SHOWN]:
        lines.append(line((f"{recipe.name:<15}", "bold"), content(recipe.says, 58, "dim")))
    more = list(known)[SHOWN:]
    if more:
        lines.append(line(("also ", "dim"), ", ".join(more)))
    if problems:
        lines.append(Content.styled(f"{problems} lines of your own recipes are wrong: `key recipes`.", "dim"))
    return Content("\n").join(lines)


def _key(values: Values, known: dict[str, Recipe]) -> KeyWanted:
    """What was filled in, checked.

    Raises:
        KeyProblem: it is not made like this.
    """
    name, recipe, also, allowed, _hive = values
    if recipe and recipe not in known:
        raise KeyProblem(f"There is no recipe {safe_text(recipe, 40)}; there are {', '.join(known)}.")
    anywhere = allowed.casefold() == "anywhere"
    return wanted(
        name,
        recipe=known[recipe] if recipe else None,
        permissions=also.replace(",", " ").split(),
        allowed_ip_range="" if anywhere else allowed,
        anywhere=anywhere,
    )


def _wrong(values: Values, known: dict[str, Recipe]) -> str:
    try:
        _key(values, known)
    except KeyProblem as error:
        return str(error)
    return hive_name_problem(values[4]) if values[4] else ""


async def _typed(
    host: Host, held: Sequence[tuple[str, Any]], does: str, organization: str, *, kind: str = "customer"
) -> str | None:
    """What was typed for a protected organization: "" when none is, None when the operator went back."""
    if not held:
        return ""
    heading = [
        line(Content.styled(does, "bold"), (organization, "bold")),
        Content.styled("This organization is protected: its name is typed first.", "bold"),
    ]
    typed = await host.ask(TypeName(Content("\n").join(heading), [_protected(held, kind)], does="go on"))
    return None if typed is None else typed.names[0]


async def _hand_over(host: Host, made: keys.Made) -> str:
    """Show the secret this once; how it was taken, or ""."""
    secret = made.secret
    if secret is None:
        return ""
    heading = [line(Content.styled("The secret of the new key  ", "bold"), (made.name, "bold"),
        Content("  of  "), (made.organization, "bold"))]  # fmt: skip
    if made.outcome == "unstored":
        heading.append(line((made.sentence, "bold ansi_red")))
    heading += [line((note, "ansi_yellow")) for note in made.notes]
    return await host.ask(
        ShowSecret(Content("\n").join(heading), secret.reveal, lambda: host.copy_secret(secret.reveal))
    )


async def _offer_deletion(host: Host, made: keys.Made) -> None:
    """A key whose secret nobody holds is of no use."""
    question = (
        f"Nobody has the secret of the key {made.name} of {made.organization}.\n\n{made.sentence}\n\n"
        "It cannot be had again. Delete the key?"
    )
    if not await host.ask(Confirm(question, yes="delete it", no="leave it")):
        host.say(f"{made.name} of {made.organization} stays, and nobody has its secret.", "warning")
        return
    store = host.writing_store()
    try:
        plan = await asyncio.to_thread(
            lambda: keys.revocation(
                [made], store=store, operator=host.operator, reason="nobody has its secret"
            )
        )
        done = await keys.revoke(
            plan, store=store, cloud=host.cloud(), operator=host.operator, confirm=accessplans.CONFIRMED
        )
    except (accessplans.Refused, plans.PlanError, LimaCharlieError) as error:
        raise RefusedHere(f"It was not deleted: {error}") from error
    host.say(done.sentence, "plain" if done.whole else "warning")


def _say(host: Host, made: keys.Made, sentence: str, *, already: Sequence[str] = ()) -> None:
    new = [note for note in made.notes if note not in already]
    host.say(" ".join([*new, sentence]), "plain" if made.good and not new else "warning")


# -- rotating --------------------------------------------------------------------------------------------


async def rotate(host: Host, request: RotateKey) -> None:
    """Make the same key anew; once its secret was taken the old one's days are counted."""
    store, cloud = host.writing_store(), host.cloud()
    rows = await read(host, lambda connection: named(connection, [(request.oid, request.key_hash)]))
    if not rows:
        raise RefusedHere("This key is not there any more.")
    row = rows[0]
    held = await read(host, lambda connection: plans.protected(connection, [row.oid]))
    fields = [
        Field("hive", hint="the secret that holds it: written over; empty shows the new one"),
        Field("overlap", "24h", hint="how long the old one stays good: 24h, 7d, or 0"),
        Field("range", str(row.allowed_ip_range), hint="from everywhere, as the old one; or 203.0.113.0/28"),
    ]
    if held:
        fields.append(Field("customer", hint="protected: the organization's name"))
    answered = await host.ask(
        FillIn(_rotating(row), fields, does="rotate it", wrong=lambda values: _wrong_rotation(values, held))
    )
    if answered is None:
        return
    overlap = _overlap(answered[1])
    host.say(f"Rotating the key {row.name}.")
    try:
        rotated = await keys.rotate(
            row.oid, str(row.key_hash), store=store, cloud=cloud, operator=host.operator, overlap=overlap,
            confirm=answered[3] if held else "", to_hive=answered[0],
            allowed_ip_range=check_range(answered[2]) if answered[2] else None,
        )  # fmt: skip
        how = await _hand_over(host, rotated.made)
        if how:
            rotated = await keys.settle(
                rotated, store=store, cloud=cloud, operator=host.operator, how=how, overlap=overlap
            )
    except (keys.Refused, LimaCharlieError, StoreError) as error:
        raise RefusedHere(str(error)) from error
    made = rotated.made
    if rotated.ends_at is None and (made.orphaned or made.secret is not None):
        await _offer_deletion(host, made)
        return
    _say(host, made, rotated.sentence, already=made.notes if how else ())


def _rotating(row: KeyRow) -> Content:
    lines = [
        line(Content.styled("Rotate the key  ", "bold"), (row.name, "bold"), Content("  of  "),
            (row.organization, "bold")),
        line(f"{len(row.permissions)} permissions, from ", row.allowed_ip_range or "anywhere",
            ": the new key has the same, unless you narrow it."),
        Content("The old one is deleted when the overlap is over, whichever console is there then."),
    ]  # fmt: skip
    return Content("\n").join(lines)


def _overlap(text: str) -> int:
    """Milliseconds.

    Raises:
        ValueError: it is no duration.
    """
    from store.times import parse_duration

    return 0 if text.strip() == "0" else parse_duration(text) * 1000


def _wrong_rotation(values: Values, held: Sequence[tuple[str, Any]]) -> str:
    if values[0] and (problem := hive_name_problem(values[0])):
        return problem
    try:
        _overlap(values[1])
    except ValueError as error:
        return f"overlap: {error}"
    try:
        if values[2]:
            check_range(values[2])
    except KeyProblem as error:
        return str(error)
    if held and not plans.confirmed(held, values[3]):
        return "This organization is protected: its name is typed exactly as it stands above."
    return ""


# -- revoking --------------------------------------------------------------------------------------------


async def revoke(host: Host, request: RevokeKeys) -> None:
    """Name what is lost, and delete it when that was typed."""
    store, cloud = host.writing_store(), host.cloud()

    def chosen(connection: Connection) -> tuple[list[KeyRow], tuple[tuple[str, Any], ...], list[KeyRow]]:
        if request.keys:
            rows = named(connection, request.keys)
        else:
            rows = every(connection, parse(request.line, now=host.context.clock()), scope=request.scope)
        held = plans.protected(connection, sorted({row.oid for row in rows}))
        return rows, held, left_alone(connection, rows)

    rows, held, lonely = await read(host, chosen)
    if not rows:
        raise RefusedHere("These keys are not there any more.")
    typed = await host.ask(
        TypeName(revoking(rows, held, host.context.clock(), lonely), to_be_typed(rows, held), does="revoke")
    )
    if typed is None:
        host.say("Nothing was revoked.")
        return
    operator = host.operator
    try:
        plan = await asyncio.to_thread(
            lambda: keys.revocation(rows, store=store, operator=operator, reason=typed.reason)
        )
        host.say(f"Revoking {len(rows):,} keys.")
        done = await keys.revoke(
            plan, store=store, cloud=cloud, operator=operator, confirm=typed.names[-1] if held else "",
            report=lambda progress: host.say(f"{progress.done:,} of {progress.total:,} keys"),
        )  # fmt: skip
    except (accessplans.Refused, plans.PlanError, LimaCharlieError, StoreError) as error:
        raise RefusedHere(str(error)) from error
    if done.whole:
        host.say(f"{done.sentence} {keys.TOKENS}")
        return
    by_key = {(row.oid, str(row.key_hash)): row for row in rows}
    items = []
    for step in done.steps:
        row = by_key[step.change.oid, step.change.principal]
        items.append(
            Item(f"{row.oid}/{row.key_hash}", row.organization, row.name, step.outcome, step.error,
                bad=step.outcome not in ("done", "already", "gone"))
        )  # fmt: skip
    await host.ask(Results(line((done.sentence, "bold")), items, can_undo=False, kind="KEY"))


def to_be_typed(rows: Sequence[KeyRow], held: Sequence[tuple[str, Any]]) -> list[Name]:
    """The name of a key, or how many they are; and that of a protected organization, or how many."""
    names = [Name.of("key", str(rows[0].name), str(rows[0].key_hash))]
    if len(rows) > 1:
        names = [Name("keys", (f"{len(rows)} keys", f"{len(rows):,} keys"))]
    if held:
        names.append(_protected(held, "customer"))
    return names


def _protected(held: Sequence[tuple[str, Any]], kind: str) -> Name:
    """The name of a protected organization, or how many there are."""
    if len(held) > 1:
        return Name(kind, (plans.phrase(held),))
    oid, name = held[0]
    return Name.of(kind, str(name), oid)


def revoking(
    rows: Sequence[KeyRow], held: Sequence[tuple[str, Any]], now: int, lonely: Sequence[KeyRow] = ()
) -> Content:
    """What is lost: keys, organizations, when each was last used; older keys that go anyhow (`lonely`)."""
    organizations_ = sorted({str(row.organization) for row in rows}, key=str.casefold)
    one = len(rows) == 1
    what = Content.styled("Revoke the key" if one else f"Revoke {len(rows):,} keys of ", "bold")
    shown = ", ".join(safe_text(each, 40) for each in organizations_[:SHOWN])
    more = f" and {len(organizations_) - SHOWN:,} more" if len(organizations_) > SHOWN else ""
    lines: list[Content] = [
        line(what) if one else line(what, Content(f"{len(organizations_):,} organization"
            f"{'' if len(organizations_) == 1 else 's'}: "), shown, Content(more))
    ]  # fmt: skip
    for row in rows[:SHOWN]:
        used = f"used {age(row.last_used, now)} ago" if row.last_used else "never used"
        lines.append(
            line(Content("  "), content(row.name, 24, cut="middle"), Content(" "),
                content(row.organization, 24, cut="middle"),
                (f" {len(row.permissions):>3} may, {used}", "dim"))
        )  # fmt: skip
    if len(rows) > SHOWN:
        lines.append(Content.styled(f"  and {len(rows) - SHOWN:,} more", "dim"))
    lines.append(Content(f"It cannot be taken back. {keys.TOKENS}"))
    for row in lonely[:1]:
        more = f" and {len(lonely) - 1:,} others" if len(lonely) > 1 else ""
        lines.append(
            line(("The older key ", "ansi_yellow"), (row.name, "bold"),
                (f"{more}, rotated, goes anyhow: none of the name is left.", "ansi_yellow"))
        )  # fmt: skip
    if not one:
        lines.append(Content(f"Type {len(rows)} keys."))
    if held:
        names = [str(name) or oid for oid, name in held]
        lines.append(line(("Protected: ", "bold ansi_yellow"), ", ".join(names[:PROTECTED])))
        if len(names) > PROTECTED:
            lines.append(
                Content.styled(f"and {len(names) - PROTECTED:,} more protected ones", "bold ansi_yellow")
            )
        lines.append(line("For them type ", (plans.phrase(held), "bold")))
    return Content("\n").join(lines)


HANDLERS: dict[type[Work], Handler] = {CreateKey: create, RotateKey: rotate, RevokeKeys: revoke}
