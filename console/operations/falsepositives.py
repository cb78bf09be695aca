"""False positive rules: drafted from an alert, tried on what is stored, and saved where the operator says.

A preview is computed here, over the stored copies of the detections; the cloud may see what a copy lacks. A
rule goes to one organization's Hive with an expiry and a date of review, or into a template file.
"""

import asyncio
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from console.operations.actor import actor
from console.operations.ports import Progress, Report
from store.bodies import unpack
from store.configuration import Record, canonical
from store.errors import StoreDamaged
from store.ingest import etags, put_configuration
from store.journal import append
from store.logic import InvalidRule, Rule, compile_rule
from store.logic.drafts import draft, name_of, required_name, warnings_of
from store.queries import falsepositives as queries
from store.queries.alerts import AlertDetail
from store.queries.falsepositives import Effect, Hidden, OrganizationEffect, Stored
from store.queries.scopes import marks_of
from store.templatefile import CommentsLost, RecordTaken, TemplateError, Written, with_record
from store.text import Untrusted, safe_text
from store.times import now_ms
from store.typednames import is_named

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud, HiveRecord, OrganizationHandle
    from console.limacharlie.hive import HiveMetadata
    from store.database import Reader, Store

DAY = 86_400_000
SHOWN = 200
"""Hidden detections that are kept as examples, true positives first."""
TAG = "limegrove"
"""On every record that was written from here."""


class Refused(Exception):
    """Nothing was changed; the text is the sentence for the operator."""


class NotAllowed(Refused):
    """The credential may not do this."""


class Taken(Refused):
    """There is a record of that name with other content."""


class WouldLose(Refused):
    """The file would lose its comments."""


class WrongName(Refused):
    """The name of a protected organization was not typed."""


@dataclass(frozen=True)
class Draft:
    """A rule, and what its record would be called."""

    condition: dict[str, Any]
    name: str


@dataclass(frozen=True)
class Saving:
    """A rule as it is to be kept."""

    name: str
    condition: dict[str, Any]
    expiry: int
    """Milliseconds, UTC; 0 is never."""
    review: int
    """Milliseconds, UTC: when somebody looks whether it is still right."""
    reason: str = ""
    """Why, in the operator's words; without one nothing is kept."""

    def comment(self, by: str) -> str:
        """What stands in the record's metadata: the date of review first."""
        said = f"Review by {_date(self.review)}. By {by}."
        return f"{said} {self.reason}" if self.reason else said

    def metadata(self, by: str) -> dict[str, Any]:
        """`usr_mtd`, whole."""
        return {"enabled": True, "expiry": self.expiry, "tags": [TAG], "comment": self.comment(by)}


@dataclass(frozen=True)
class Saved:
    """What became of a rule."""

    outcome: str
    """`done`, `already` (the very record was there), or `unknown` (read it again before anything else)."""
    where: str
    name: str
    sentence: str


def draft_of(alert: AlertDetail) -> Draft:
    """A rule for an alert, as its detection was received.

    Raises:
        Refused: the detection is damaged, or has no name that could be compared.
    """
    record = _decoded(alert.body)
    if not isinstance(record, dict):
        raise Refused("This detection cannot be read, so no rule can be drafted from it; write one by hand.")
    condition = draft(record)
    if condition is None:
        raise Refused("This detection has no name (`cat`) that a rule could compare; write one by hand.")
    return Draft(condition, name_of(record))


def checked(condition: Any) -> Rule:
    """A false positive rule that means something.

    Raises:
        Refused: it does not; says where and what to do.
    """
    try:
        return compile_rule(condition, kind="fp")
    except InvalidRule as error:
        raise Refused(f"This is no false positive rule: {error}.") from error


# Preview


def preview(
    reader: "Reader",
    condition: Any,
    *,
    scope: str = "",
    oid: str = "",
    days: int = 30,
    now: int | None = None,
    report: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Effect:
    """What a rule would have hidden of the stored detections; waits for the database, so call it in a thread.

    Args:
        condition: the data of a false positive record.
        scope: a node of the tree; "" for all organizations.
        oid: of this organization alone.
        days: how far back.
        now: milliseconds, UTC; the clock when None.
        report: told after each page.
        cancelled: asked before each page; what was done until then is answered, and says so.

    Raises:
        Refused: it is no rule.
    """
    rule = checked(condition)
    until = now_ms() if now is None else now
    since, began = until - days * DAY, time.perf_counter()
    with reader.reading() as connection:
        totals = queries.held(connection, scope, oid=oid, since=since, until=until)
        names = queries.names(connection)
    trial = _Trial(rule, compile_rule(condition, kind="fp", wary=True), until, totals)
    cat = required_name(condition)
    complete = True
    # A name that is stored shortened is compared by the rule itself. A rule that can be evaluated nowhere
    # keeps nothing, not even a detection of another name.
    exact = cat if cat is not None and len(cat) <= 400 and not rule.unevaluable else None
    for page in queries.pages(reader, scope, oid=oid, since=since, until=until, cat=exact):
        if cancelled is not None and cancelled():
            complete = False
            break
        trial.take(page)
        if report is not None:
            report(Progress(trial.evaluated, sum(totals.values()), "tried"))
    effect = Effect(
        since,
        until,
        tuple(
            sorted(
                (trial.of(key, names.get(key)) for key in totals),
                key=lambda row: (-row.true_positives, -row.hidden, -row.not_evaluated, row.organization),
            )
        ),
        tuple(
            Hidden(alert, names.get(alert.oid, Untrusted(alert.oid)), absent)
            for alert, absent in trial.examples()
        ),
        (),
        trial.evaluated,
        time.perf_counter() - began,
        complete,
    )
    return replace(effect, warnings=tuple(_warnings(condition, rule, effect, trial.by_absence)))


class _Trial:
    """A rule tried on one detection after the other."""

    def __init__(self, rule: Rule, wary: Rule, now: int, totals: dict[str, int]) -> None:
        self._rule = rule
        self._wary = wary
        self._now = now / 1000
        self._totals = totals
        self._hidden: dict[str, int] = {}
        self._true: dict[str, int] = {}
        self._open: dict[str, int] = {}
        self._why: dict[str, str] = {}
        self._examples: list[tuple[Stored, bool]] = []
        self.evaluated = 0
        self.by_absence = 0
        """Hidden ones that rest on something that is not there."""

    def take(self, page: list[Stored]) -> None:
        evaluate, now = self._rule.evaluate, self._now
        for alert in page:
            record = None
            if alert.packed is not None:
                try:
                    record = _decoded(unpack(alert.packed))
                except StoreDamaged:
                    record = None
            self.evaluated += 1
            oid = alert.oid
            if not isinstance(record, dict):
                self._open[oid] = self._open.get(oid, 0) + 1
                self._why.setdefault(oid, "the stored detection cannot be read, or none is kept")
                continue
            result = evaluate(record, now=now)
            if result.value is None:
                self._open[oid] = self._open.get(oid, 0) + 1
                self._why.setdefault(oid, result.why)
            elif result.value:
                absent = self._wary.evaluate(record, now=now).value is not True
                self.by_absence += absent
                self._hidden[oid] = self._hidden.get(oid, 0) + 1
                self._true[oid] = self._true.get(oid, 0) + alert.true_positive
                self._keep(alert, absent)

    def _keep(self, alert: Stored, absent: bool) -> None:
        self._examples.append((replace(alert, packed=None), absent))
        if len(self._examples) > 4 * SHOWN:
            self._examples = self.examples()

    def examples(self) -> list[tuple[Stored, bool]]:
        return sorted(self._examples, key=lambda one: one[0].weight)[:SHOWN]

    def of(self, oid: str, name: Any) -> OrganizationEffect:
        hidden, open_ = self._hidden.get(oid, 0), self._open.get(oid, 0)
        # What arrived since the counting was looked at, too.
        total = max(self._totals[oid], hidden + open_)
        return OrganizationEffect(
            oid,
            Untrusted(name if name is not None else oid),
            total,
            hidden,
            self._true.get(oid, 0),
            total - hidden - open_,
            open_,
            self._why.get(oid, ""),
        )


def _warnings(condition: Any, rule: Rule, effect: Effect, by_absence: int) -> list[str]:
    found = warnings_of(condition)
    totals = effect.totals
    if rule.unevaluable:
        found.insert(0, f"Nothing of it can be evaluated here: {rule.unevaluable}.")
    if totals.hidden and totals.hidden == totals.total and totals.total > 1:
        found.append(f"It would have hidden every one of the {totals.total:,} detections.")
    if by_absence:
        found.append(
            f"{by_absence:,} of the hidden ones are hidden only because something that a `not` looks at is "
            "missing from the stored copy; the cloud may still have it."
        )
    if totals.not_evaluated:
        found.append(
            f"{totals.not_evaluated:,} detections were not evaluated, and count neither as hidden nor as "
            f"kept: {totals.why}."
        )
    return found


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            # One lone surrogate, and orjson refuses the whole record.
            return json.loads(body)
        except (ValueError, RecursionError):
            return None


# Into one organization's Hive


def protected(reader: "Reader", oid: str) -> bool:
    """Whether the organization's name has to be typed before anything of it is changed."""
    with reader.reading() as connection:
        return "protected" in marks_of(connection, oid)


async def write(
    oid: str,
    saving: Saving,
    *,
    store: "Store",
    cloud: "Cloud",
    typed: str = "",
    replace_existing: bool = False,
    now: int | None = None,
) -> Saved:
    """Put a rule into one organization's Hive `fp`, enabled, with its expiry and its date of review.

    What is there is read first: there has to be no record of that name, or it is replaced under its etag
    where that was asked for. The intent goes into the journal, the record is sent once, and read back.

    Args:
        typed: the organization's name, typed by the operator; needed where it is protected.
        replace_existing: put it in place of a record with that name.
        now: milliseconds, UTC; the clock when None.

    Raises:
        WrongName: the organization is protected and that is not its name.
        NotAllowed: `fp.ctrl` is missing.
        Refused: it is no rule, has no reason, its time is over, there is a record of that name, or somebody
            changed it.
        LimaCharlieError: it could not be read before, or was refused; nothing was changed.
    """
    from console.limacharlie.errors import Ambiguous, Conflict, Denied, LimaCharlieError

    moment = now_ms() if now is None else now
    checked(saving.condition)
    _check_saving(saving, moment)
    organization = await asyncio.to_thread(_organization, store.reader, oid)
    if organization.protected and not is_named(typed, organization.name, oid):
        raise WrongName(
            f"{safe_text(organization.name)} is protected: its name or its id {oid} has to be typed. "
            "Nothing was sent."
        )
    handle = cloud.organization(oid)
    metadata = saving.metadata(actor())
    try:
        before = await _there(handle, saving.name)
        if before is not None and _agrees(before, saving.condition, metadata):
            said = f"{safe_text(organization.name)} has this very rule already; nothing was sent."
            return Saved("already", oid, saving.name, said)
        if before is not None and not replace_existing:
            raise Taken(
                f"{safe_text(organization.name)} has a false positive rule {saving.name!r} already, with "
                "other content; give another name, or replace it. Nothing was sent."
            )
        complaint = await handle.validate_hive_record(
            "fp", saving.name, saving.condition, _metadata(before, metadata)
        )
    except Denied as error:
        raise NotAllowed(f"The rule was not written: {error}") from error
    if complaint:
        raise Refused(f"LimaCharlie refuses this rule: {complaint}. Nothing was written.")
    journal = _Journal(store, oid, saving.name)
    was = None if before is None else {"etag": before.etag, "body": before.body, "metadata": before.metadata}
    await journal.intend({"body": saving.condition, "metadata": metadata, "before": was})
    trouble = ""
    try:
        await _send(handle, saving, before, metadata)
    except Ambiguous as error:
        trouble = str(error)
    except Denied as error:
        await journal.result("denied", {"error": str(error)})
        raise NotAllowed(f"The rule was not written: {error}") from error
    except Conflict as error:
        await journal.result("conflict", {"error": str(error)})
        raise Refused(f"Somebody changed this record meanwhile: {error} Look at it again.") from error
    except LimaCharlieError as error:
        await journal.result("failed", {"error": str(error)})
        raise
    try:
        after = await _there(handle, saving.name)
    except LimaCharlieError as error:
        await journal.result("unknown", {"error": trouble, "not_read_back": str(error)})
        said = (
            f"The rule was sent, and what came of it cannot be read: {error} Look again before anything else."
        )
        return Saved("unknown", oid, saving.name, said)
    differs = _differs(after, saving.condition, metadata)
    await journal.result(
        "unknown" if differs else "done",
        {"error": trouble, "etag": None if after is None else after.etag, "differs": differs},
    )
    if after is not None:
        await asyncio.to_thread(_mirror, store, oid, saving.name, after, moment)
    if differs:
        said = f"The rule was sent, and {', '.join(differs)} is not as it was sent: look at it. {trouble}"
        return Saved("unknown", oid, saving.name, said.strip())
    return Saved(
        "done",
        oid,
        saving.name,
        f"Written to {safe_text(organization.name)}: {saving.name!r}{_until(saving.expiry)}; review by "
        f"{_date(saving.review)}.",
    )


@dataclass(frozen=True)
class _Organization:
    name: str
    protected: bool


def _organization(reader: "Reader", oid: str) -> _Organization:
    with reader.reading() as connection:
        name = str(queries.names(connection).get(oid, oid))
        marks = marks_of(connection, oid)
    return _Organization(name, "protected" in marks)


def _check_saving(saving: Saving, now: int) -> None:
    if not saving.reason.strip():
        raise Refused("A rule that hides alerts says why: give it a reason.")
    if not saving.name.strip() or len(saving.name) > 200 or not saving.name.isprintable():
        raise Refused("A rule needs a name of at most 200 printable letters.")
    if saving.expiry and saving.expiry <= now:
        raise Refused("The time at which the rule expires is over already.")
    if saving.review <= now:
        raise Refused("The date of review is over already.")


async def _there(handle: "OrganizationHandle", name: str) -> "HiveRecord | None":
    from console.limacharlie.errors import Gone

    try:
        return await handle.hive_record("fp", name)
    except Gone as gone:
        if gone.code != "RECORD_NOT_FOUND":
            # The organization or the hive is gone, not the record.
            raise
        return None


def _metadata(before: "HiveRecord | None", wanted: dict[str, Any]) -> "HiveMetadata":
    """All of it: what is not said here and was there before is written back as it was."""
    from console.limacharlie.hive import HiveMetadata

    others = {} if before is None else HiveMetadata.of(before).others
    tags = () if before is None else HiveMetadata.of(before).tags
    return HiveMetadata(
        enabled=wanted["enabled"],
        expiry=wanted["expiry"],
        tags=tuple(dict.fromkeys([*tags, *wanted["tags"]])),
        comment=wanted["comment"],
        others=others,
    )


async def _send(
    handle: "OrganizationHandle", saving: Saving, before: "HiveRecord | None", metadata: dict[str, Any]
) -> None:
    from console.limacharlie.hive import ABSENT

    await handle.set_hive_record(
        "fp",
        saving.name,
        saving.condition,
        _metadata(before, metadata),
        ABSENT if before is None else before.etag,
    )


def _agrees(found: "HiveRecord", condition: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return not _differs(found, condition, metadata)


def _differs(found: "HiveRecord | None", condition: dict[str, Any], metadata: dict[str, Any]) -> list[str]:
    """What of a record that was read is not as it was wanted."""
    if found is None:
        return ["the record"]
    held = found.metadata
    differs = [] if canonical(found.body) == canonical(condition) else ["the rule"]
    differs += [name for name in ("enabled", "comment") if held.get(name) != metadata[name]]
    if (held.get("expiry") or 0) != metadata["expiry"]:
        differs.append("the expiry")
    if not set(metadata["tags"]) <= set(held.get("tags") or ()):
        differs.append("the tags")
    return differs


def _mirror(store: "Store", oid: str, name: str, found: "HiveRecord", now: int) -> None:
    """What was read back, in the store's copy of the hive; the other records stay as they are."""
    record = Record(
        body=found.body,
        metadata=found.metadata,
        etag=found.etag,
        author=found.author,
        modified=found.modified,
    )
    with store.writing() as connection:
        others = set(etags(connection, oid, "hive/fp")) - {name}
        put_configuration(connection, oid, "hive/fp", {name: record}, now, same=others)


class _Journal:
    """The intent before a write, and what came of it, as two entries that name each other."""

    def __init__(self, store: "Store", oid: str, name: str) -> None:
        self._store = store
        self._oid = oid
        self._name = name
        self._intent = 0

    async def intend(self, detail: dict[str, Any]) -> None:
        self._intent = await asyncio.to_thread(self._write, {"step": "intent", **detail})

    async def result(self, outcome: str, detail: dict[str, Any]) -> None:
        after = {name: value for name, value in detail.items() if value not in ("", None, [])}
        await asyncio.to_thread(
            self._write, {"step": "result", "intent": self._intent, "outcome": outcome, "after": after}
        )

    def _write(self, detail: dict[str, Any]) -> int:
        with self._store.writing() as connection:
            return append(connection, actor(), "fp.write", self._oid, f"fp/{self._name}", detail)


# Into a template file


def into_template(
    path: Path,
    saving: Saving,
    *,
    store: "Store",
    replace_existing: bool = False,
    rewrite: bool = False,
    now: int | None = None,
) -> Saved:
    """Put a rule into `hives: fp:` of an infrastructure document; a new one is made where there is none.

    The file is replaced as a whole or not at all. Everything else in it stays as it was, comments too, unless
    `rewrite` allows that they are lost.

    Raises:
        Refused: it is no rule, has no reason, no such document, has another record of that name, would lose
            its comments, or cannot be written.
    """
    moment = now_ms() if now is None else now
    checked(saving.condition)
    _check_saving(saving, moment)
    target = Path(os.path.realpath(path))
    record = {"data": saving.condition, "usr_mtd": saving.metadata(actor())}
    shown = safe_text(str(path))
    try:
        before = target.read_bytes() if target.exists() else None
        text = "" if before is None else before.decode("utf-8-sig")
        written = with_record(text, "fp", saving.name, record, replace=replace_existing, rewrite=rewrite)
        if written.changed:
            _replace(target, before, written.text)
    except TemplateError as error:
        kind = {RecordTaken: Taken, CommentsLost: WouldLose}.get(type(error), Refused)
        raise kind(f"{shown}: {error}") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{shown}: this is not UTF-8 text.") from error
    except OSError as error:
        raise Refused(f"{shown} cannot be written: {error.strerror}.") from error
    if not written.changed:
        return Saved("already", str(path), saving.name, f"{shown} has this very rule already.")
    with store.writing() as connection:
        detail = {"body": saving.condition, "metadata": record["usr_mtd"]}
        append(connection, actor(), "fp.template", "", f"{path}: fp/{saving.name}", detail)
    return Saved("done", str(path), saving.name, _sentence(shown, saving, written))


def _sentence(shown: str, saving: Saving, written: Written) -> str:
    does = "replaced in" if written.replaced else "put into"
    lost = "" if written.comments_kept else " The file was written anew: its comments are gone."
    return f"{saving.name!r} was {does} {shown}; review by {_date(saving.review)}.{lost}"


def _replace(target: Path, before: bytes | None, text: str) -> None:
    """The file anew: all of it or nothing, unless somebody wrote it meanwhile."""
    mode = stat.S_IMODE(target.stat().st_mode) if before is not None else 0o644
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        if (target.read_bytes() if target.exists() else None) != before:
            raise TemplateError("Somebody wrote the file meanwhile; nothing was changed, so try again.")
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _date(moment: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment / 1000))


def _until(expiry: int) -> str:
    return f", until {_date(expiry)}" if expiry else ", without an end"
