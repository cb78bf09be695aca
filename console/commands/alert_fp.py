"""`limegrove alert fp`: a false positive rule drafted from an alert, tried on what is stored, and saved."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.parser import whole
from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from console.operations.falsepositives import Saved, Saving
    from store.queries.alerts import AlertDetail
    from store.queries.falsepositives import Effect, Hidden, OrganizationEffect

_LONGEST = 1_000_000
"""Bytes of a rule file."""


def configure(verbs: Any) -> None:
    """Add the verb.

    Args:
        verbs: what argparse gave for the verbs of `alert`.
    """
    verb: argparse.ArgumentParser = verbs.add_parser(
        "fp",
        help="a false positive rule for an alert: drafted, tried, saved",
        description="Drafts a false positive rule from an alert, or takes one from a file, and says what it "
        "would have hidden of the stored detections in each organization, true positives first. It is saved "
        "only when that is asked for.",
    )
    verb.add_argument("detect_id", metavar="DETECT_ID")
    verb.add_argument(
        "--org", dest="organization", metavar="OID|NAME", help="where two organizations share the id"
    )
    verb.add_argument("--rule", metavar="FILE", help="the rule: one condition, YAML; - for standard input")
    verb.add_argument(
        "--days", type=whole(1, 3_650), default=30, metavar="N", help="try it on the last N days (30)"
    )
    verb.add_argument("--name", metavar="NAME", help="of the record (made of the alert)")
    verb.add_argument(
        "--expires", default="90d", metavar="DURATION", help="it ends after this, or never (90d)"
    )
    verb.add_argument("--review", default="30d", metavar="DURATION", help="somebody looks again then (30d)")
    verb.add_argument(
        "--reason", default="", metavar="TEXT", help="why, kept with the rule; it is not saved without"
    )
    what = verb.add_mutually_exclusive_group()
    what.add_argument("--preview", action="store_true", help="only say what it would have hidden (default)")
    what.add_argument("--write", action="store_true", help="into the Hive of the alert's organization")
    what.add_argument("--template", metavar="FILE", help="into an infrastructure document")
    verb.add_argument("--replace", action="store_true", help="in place of a record with that name")
    verb.add_argument("--rewrite", action="store_true", help="the document may lose its comments")
    verb.add_argument(
        "--confirm", metavar="NAME", default="", help="the name or oid of a protected organization"
    )


def run(session: Session) -> int:
    """Draft, try, and save where that was asked for."""
    from console.commands.alert import one_alert
    from console.operations.falsepositives import Refused, checked, preview

    given = session.arguments
    if given.write or given.template:
        session.refuse_read_only("alert fp")
        if not given.reason.strip():
            raise Problem(
                "A rule that hides alerts says why: give it a --reason. Nothing was written.", code=2
            )
    alert = one_alert(session, given.detect_id)
    try:
        condition, name = _rule(alert) if given.rule is None else _from_file(given.rule, alert)
        checked(condition)
        saving = _saving(session, condition, given.name or name)
        effect = preview(
            session.reader,
            condition,
            scope=session.scope(),
            days=given.days,
            report=lambda progress: session.progress(f"tried on {progress.done:,} detections"),
        )
    except Refused as error:
        raise Problem(str(error), code=2 if given.rule else 1) from error
    finally:
        session.clear_progress()
    saved: Saved | None = None
    if given.write:
        saved = _write(session, alert, saving, effect)
    elif given.template:
        saved = _template(session, saving)
    _show(session, saving, effect, saved)
    return 3 if saved is not None and saved.outcome == "unknown" else 0


def _rule(alert: "AlertDetail") -> tuple[Any, str]:
    from console.operations.falsepositives import draft_of

    drafted = draft_of(alert)
    return drafted.condition, drafted.name


def _from_file(name: str, alert: "AlertDetail") -> tuple[Any, str]:
    from store.logic.drafts import name_of
    from store.yaml import YamlError, load

    try:
        raw = sys.stdin.buffer.read(_LONGEST + 1) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Problem(f"{shown(name)} cannot be read: {error.strerror}.", code=2) from error
    if len(raw) > _LONGEST:
        raise Problem(f"{shown(name)} has more than {_LONGEST // 1_000_000} MB.", code=2)
    try:
        condition = load(raw).value
    except YamlError as error:
        raise Problem(f"{shown(name)}: {error}", code=2) from error
    return condition, name_of({"cat": str(alert.row.cat), "routing": {"hostname": str(alert.row.hostname)}})


def _saving(session: Session, condition: Any, name: str) -> "Saving":
    from console.operations.falsepositives import Saving
    from store.times import now_ms

    given, now = session.arguments, now_ms()
    return Saving(
        name,
        condition,
        0 if given.expires in ("never", "0") else now + _milliseconds(given.expires, "--expires"),
        now + _milliseconds(given.review, "--review"),
        given.reason,
    )


def _milliseconds(text: str, option: str) -> int:
    from store.times import parse_duration

    try:
        return parse_duration(text) * 1000
    except ValueError as error:
        raise Problem(f"{option} {shown(text)}: {error}", code=2) from error


def _write(session: Session, alert: "AlertDetail", saving: "Saving", effect: "Effect") -> "Saved":
    from console.limacharlie.errors import LimaCharlieError
    from console.operations.falsepositives import NotAllowed, Refused, WrongName, protected, write

    given, oid = session.arguments, alert.row.oid
    if protected(session.reader, oid) and not given.confirm:
        raise Problem(
            f"{shown(alert.row.organization)} is protected: give its name or its oid with --confirm. "
            "Nothing was sent.",
            code=5,
        )
    totals = effect.totals
    if not session.ask(
        f"Write {shown(saving.name)} into {shown(alert.row.organization)}, which would have hidden "
        f"{totals.hidden} of {totals.total} stored detections, {totals.true_positives} of them true?"
    ):
        raise Problem("Nothing was written.", code=5)

    async def written() -> "Saved":
        async with session.cloud() as cloud:
            return await write(
                oid,
                saving,
                store=session.store(),
                cloud=cloud,
                typed=given.confirm,
                replace_existing=given.replace,
            )

    try:
        return session.run(written())
    except (NotAllowed, WrongName) as error:
        raise Problem(str(error), code=5) from error
    except Refused as error:
        raise Problem(str(error), code=5) from error
    except LimaCharlieError as error:
        raise Problem(f"The rule was not written: {error}", code=1) from error


def _template(session: Session, saving: "Saving") -> "Saved":
    from console.operations.falsepositives import Refused, into_template

    given = session.arguments
    try:
        return into_template(
            Path(given.template),
            saving,
            store=session.store(),
            replace_existing=given.replace,
            rewrite=given.rewrite,
        )
    except Refused as error:
        raise Problem(str(error), code=5) from error


def _show(session: Session, saving: "Saving", effect: "Effect", saved: "Saved | None") -> None:
    from store.times import rfc3339

    totals = effect.totals
    rows = [_organization(row) for row in effect.organizations]
    session.show_object(
        {
            "name": saving.name,
            "rule": saving.condition,
            "expires": rfc3339(saving.expiry) if saving.expiry else None,
            "review": rfc3339(saving.review),
            "days": session.arguments.days,
            "since": rfc3339(effect.since),
            "until": rfc3339(effect.until),
            "total": totals.total,
            "hidden": totals.hidden,
            "true_positives": totals.true_positives,
            "kept": totals.kept,
            "not_evaluated": totals.not_evaluated,
            "evaluated": effect.evaluated,
            "seconds": round(effect.seconds, 3),
            "warnings": list(effect.warnings),
            "organizations": rows,
            "alerts": [_alert_of(each) for each in effect.hidden],
            "saved": None
            if saved is None
            else {"outcome": saved.outcome, "where": saved.where, "sentence": saved.sentence},
        },
        rows=rows,
        columns=("organization", "hidden", "true_positives", "kept", "not_evaluated", "total"),
    )
    if session.output == "table":
        session.say(
            f"{totals.hidden:,} of {totals.total:,} detections of {session.arguments.days} days hidden in "
            f"{sum(row.hidden > 0 for row in effect.organizations)} of {len(rows)} organizations"
        )
        for warning in effect.warnings:
            session.say(f"! {warning}")
    if saved is not None:
        session.say(saved.sentence)


def _organization(row: "OrganizationEffect") -> dict[str, Any]:
    return {
        "oid": row.oid,
        "organization": row.organization,
        "total": row.total,
        "hidden": row.hidden,
        "true_positives": row.true_positives,
        "kept": row.kept,
        "not_evaluated": row.not_evaluated,
        "why": row.why,
    }


def _alert_of(hidden: "Hidden") -> dict[str, Any]:
    from store.alerts import CLASSIFICATIONS, STATUSES
    from store.times import rfc3339

    alert = hidden.alert
    return {
        "detect_id": alert.detect_id,
        "oid": alert.oid,
        "organization": hidden.organization,
        "time": rfc3339(alert.time),
        "cat": alert.cat,
        "hostname": alert.hostname,
        "status": STATUSES[alert.status],
        "classification": CLASSIFICATIONS[alert.classification],
        "benign": alert.benign,
        "by_absence": hidden.by_absence,
    }
