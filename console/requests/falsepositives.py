"""A false positive rule drafted from an alert, tried while it is edited, saved after one more question."""

from __future__ import annotations

import asyncio
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.content import Content

from console.limacharlie.errors import LimaCharlieError
from console.operations import falsepositives as operations
from console.operations.falsepositives import Refused, Saved, Saving, Taken, WouldLose
from console.requests import Handler, Host, RefusedHere
from screens.dialogs.confirm import Confirm
from screens.dialogs.fp_rule import FalsePositive, FpRule, Progressed
from screens.dialogs.type_name import Name, TypeName
from screens.requests import DraftFalsePositive
from screens.widgets.text import line
from store.queries.alerts import AlertDetail, detail
from store.queries.falsepositives import Effect
from store.templatefile import dumped
from store.text import safe_text
from store.times import parse_duration
from store.yaml import load

if TYPE_CHECKING:
    from console.operations.ports import Progress
    from screens.requests import Work

DAYS = 30
"""How far back a rule is tried."""
CELLS = 60
"""Of a line of a question."""
TELL_EVERY = 0.25
"""Seconds between two words about how far a trial has come."""


@dataclass
class _Trial:
    """Tries what is being edited, and keeps what came of it for the last question."""

    host: Host
    scope: str
    text: str = ""
    effect: Effect | None = None

    async def __call__(self, text: str, progressed: Progressed) -> Effect:
        condition = load(text).value
        stop = threading.Event()
        told = time.monotonic()

        def tell(progress: Progress) -> None:
            nonlocal told
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                progressed(progress.done, progress.total)

        def run() -> Effect:
            return operations.preview(
                self.host.context.reader,
                condition,
                scope=self.scope,
                days=DAYS,
                now=self.host.context.clock(),
                report=tell,
                cancelled=stop.is_set,
            )

        try:
            effect = await asyncio.to_thread(run)
        except asyncio.CancelledError:
            # The thread looks at it before each page.
            stop.set()
            raise
        except Refused as error:
            raise ValueError(str(error)) from error
        self.text, self.effect = text, effect
        return effect


async def draft_false_positive(host: Host, request: DraftFalsePositive) -> None:
    """Draft, edit, ask, save; back to the rule as long as it is not saved."""
    alert = await asyncio.to_thread(_read, host, request.alert_id)
    try:
        drafted = operations.draft_of(alert)
    except Refused as error:
        raise RefusedHere(str(error)) from error
    trial = _Trial(host, host.context.scope.node_id)
    wanted: FalsePositive | None = FalsePositive(dumped(drafted.condition), drafted.name, "90d", "30d")
    trouble = ""
    while wanted is not None:
        answer = await host.ask(
            FpRule(
                wanted,
                host.context,
                title=str(alert.row.cat),
                organization=str(alert.row.organization),
                scope=host.context.scope.name,
                days=DAYS,
                preview=trial,
                trouble=trouble,
            )
        )
        if answer is None:
            return
        wanted = answer
        try:
            saved = await _save(host, alert, answer, trial)
        except (Refused, RefusedHere, LimaCharlieError) as error:
            trouble = str(error)
            continue
        if saved is None:
            trouble = "Nothing was saved."
            continue
        host.say(saved.sentence, "plain" if saved.outcome != "unknown" else "warning")
        return


def _read(host: Host, alert_id: int) -> AlertDetail:
    with host.context.reader.reading() as connection:
        alert = detail(connection, alert_id)
    if alert is None:
        raise RefusedHere("This alert is not in the store any more.")
    return alert


async def _save(host: Host, alert: AlertDetail, wanted: FalsePositive, trial: _Trial) -> Saved | None:
    """Ask, and save where the operator said; None when it was left."""
    store = host.writing_store()
    now = host.context.clock()
    saving = Saving(
        wanted.name,
        load(wanted.text).value,
        0 if wanted.expires == "never" else now + parse_duration(wanted.expires) * 1000,
        now + parse_duration(wanted.review) * 1000,
        wanted.reason,
    )
    effect = trial.effect if trial.text == wanted.text else None
    if wanted.file:
        if not await host.ask(
            Confirm(_question(f"Put {safe_text(wanted.name)} into {wanted.file}?", effect))
        ):
            return None

        def put(**allowed: Any) -> Saved:
            return operations.into_template(
                Path(wanted.file).expanduser(), saving, store=store, now=now, **allowed
            )

        return await _insisting(host, lambda **allowed: asyncio.to_thread(put, **allowed))
    cloud = host.cloud()
    organization = str(alert.row.organization)
    typed = await _agreed(host, alert, wanted, effect)
    if typed is None:
        return None
    saving = replace(saving, reason=saving.reason or typed[1])
    host.say(f"Writing {safe_text(wanted.name)} to {safe_text(organization)}.")
    return await _insisting(
        host,
        lambda **allowed: operations.write(
            alert.row.oid, saving, store=store, cloud=cloud, typed=typed[0], now=now, **allowed
        ),
    )


async def _agreed(
    host: Host, alert: AlertDetail, wanted: FalsePositive, effect: Effect | None
) -> tuple[str, str] | None:
    """The organization's name where it has to be typed; None when the operator went back."""
    organization = str(alert.row.organization)
    question = _question(
        f"Write {safe_text(wanted.name)}\ninto the Hive of {safe_text(organization)}, enabled at once?\n"
        f"Reason: {safe_text(wanted.reason, 200)}",
        effect,
        alert.row.oid,
    )
    if not await asyncio.to_thread(operations.protected, host.context.reader, alert.row.oid):
        return ("", "") if await _confirmed(host, question) else None
    heading = Content("\n").join([*(line(each) for each in question.splitlines()), Content.styled(
        "This organization is protected: its name is typed.", "bold")])  # fmt: skip
    names = [Name.of("customer", organization, alert.row.oid)]
    answer = await host.ask(TypeName(heading, names, does="write it"))
    return None if answer is None else (answer.names[0], answer.reason)


def _question(begins: str, effect: Effect | None, oid: str = "") -> str:
    """With what the rule will hide there, by what it would have hidden; everywhere without an `oid`."""
    if effect is None:
        return begins
    totals = next((row for row in effect.organizations if row.oid == oid), effect.totals)
    where = " there" if oid else ""
    lines = [
        begins,
        f"It hides from now on what it would have hidden{where}: {totals.hidden:,} of {totals.total:,} "
        f"detections of {DAYS} days, {totals.true_positives:,} of them true positives.",
    ]
    if totals.not_evaluated:
        lines.append(f"{totals.not_evaluated:,} were not evaluated.")
    return "\n".join([*lines, *(f"! {warning}" for warning in effect.warnings[:2])])


async def _confirmed(host: Host, question: str) -> bool:
    """Ask, with every word of it on the screen."""
    lines = [part for each in question.splitlines() for part in textwrap.wrap(each, CELLS)]
    return await host.ask(Confirm("\n".join(lines)))


async def _insisting(host: Host, save: Callable[..., Any]) -> Saved | None:
    """Save; what stands in the way of it is asked about once."""
    allowed: dict[str, bool] = {}
    while True:
        try:
            saved: Saved = await save(**allowed)
            return saved
        except Taken as error:
            if allowed.get("replace_existing") or not await _confirmed(host, f"{error}\nReplace it?"):
                raise
            allowed["replace_existing"] = True
        except WouldLose as error:
            if allowed.get("rewrite") or not await _confirmed(host, f"{error}\nWrite it anew?"):
                raise
            allowed["rewrite"] = True


HANDLERS: dict[type[Work], Handler] = {DraftFalsePositive: draft_false_positive}
