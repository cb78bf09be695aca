"""Access reviews: begun, decided line by line, planned, closed, and their evidence written and checked.

Before anything is decided or planned, a review is compared with the access that the store knows: what changed
is to be decided again. Nothing is written to the cloud from here: what was revoked becomes a plan, which is
applied like any other.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from console.csvfile import csv_bytes
from console.operations.actor import actor
from store import accessplans, reviews
from store.configuration import content_hash
from store.journal import append
from store.reviews import (
    ATTESTED,
    OPEN,
    REVOKED,
    Came,
    Decided,
    Drift,
    Line,
    Reading,
    Review,
    ReviewError,
    ScopeGone,
    Wanted,
)
from store.times import now_ms, rfc3339

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.signing import PublicKey, Signer
    from store.database import Reader, Store

KIND: Final = "access-review"
"""What an evidence document is called, and what its signature is for."""
EVIDENCE: Final = "evidence.json"
NAMED_AT_MOST: Final = 20
"""Organizations that a cell of `lines.csv` names; more of them are in `organizations.csv`."""
_VERBS = {OPEN: "review.undecide", ATTESTED: "review.attest", REVOKED: "review.revoke"}


def start(store: "Store", title: str, wanted: Wanted, *, operator: str, now: int | None = None) -> Review:
    """Begin a review.

    Raises:
        ReviewError: it has no title, or nothing would be in it.
    """
    moment = now_ms() if now is None else now
    with store.writing() as c:
        number = reviews.start(c, title, wanted, by=operator, now=moment)
        made = reviews.review(c, number)
        append(
            c, actor(), "review.start", "", f"review {number}: {made.title}",
            {"operator": operator, "scope": made.scope_name, "lines": made.progress.lines}, now=moment,
        )  # fmt: skip
    return made


def refresh(
    store: "Store", review_id: int, *, now: int | None = None, some: Sequence[int] | None = None
) -> Drift:
    """Compare an open review with the access that the store knows, and write down what differs.

    Args:
        some: only these lines, and whatever is about the same; all when None.

    Raises:
        UnknownReview: there is none of this number.
    """
    with store.reader.reading() as c:
        if not reviews.compared(c, review_id, some)[1]:
            return Drift()
    with store.writing() as c:
        return reviews.refresh(c, review_id, now=now_ms() if now is None else now, some=some)


def decide(
    store: "Store",
    review_id: int,
    lines: Sequence[tuple[int, int | None]],
    verdict: int,
    *,
    operator: str,
    reason: str = "",
    now: int | None = None,
) -> Decided:
    """Attest or revoke lines, or take decisions back; each line is decided by one operator.

    Args:
        lines: (line, its version as the operator saw it; None for whatever it is now).
        verdict: of `store.reviews`.

    Raises:
        ReviewError: nothing was decided; the text says why.
    """
    moment = now_ms() if now is None else now
    refresh(store, review_id, now=moment, some=[number for number, _ in lines])
    with store.writing() as c:
        decided = reviews.decide(
            c, review_id, lines, verdict, by=operator, actor=actor(), reason=reason, now=moment
        )
        if decided.done:
            append(
                c, actor(), _VERBS[verdict], "", f"review {review_id}",
                {"operator": operator, "lines": list(decided.done), "reason": reason.strip()}, now=moment,
            )  # fmt: skip
    return decided


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that takes away what was revoked."""

    plan: int
    lines: int
    changes: int
    organizations: int


def plan(store: "Store", review_id: int, *, operator: str, now: int | None = None) -> Planned:
    """Draft one plan of everything that was revoked and is still there. Nothing is written to the cloud.

    Raises:
        ReviewError: nothing is left to plan, or it cannot be planned.
    """
    moment = now_ms() if now is None else now
    refresh(store, review_id, now=moment)
    with store.writing() as c:
        number, lines = reviews.plan(c, review_id, by=operator, now=moment)
        made = accessplans.load(c, number)
        append(
            c, actor(), "review.plan", "", f"review {review_id}",
            {"operator": operator, "plan": number, "lines": list(lines), "changes": len(made.steps)},
            now=moment,
        )  # fmt: skip
    return Planned(number, len(lines), len(made.steps), len(made.organizations))


def close(
    store: "Store", review_id: int, *, operator: str, incomplete: bool = False, now: int | None = None
) -> Review:
    """Close a review: nothing of it changes any more.

    Args:
        incomplete: also when lines are undecided; the evidence says so.

    Raises:
        ReviewError: it is closed, or lines are undecided.
    """
    moment = now_ms() if now is None else now
    try:
        refresh(store, review_id, now=moment)
    except ScopeGone:
        if not incomplete:
            raise
    with store.writing() as c:
        closed = reviews.close(c, review_id, by=operator, now=moment, incomplete=incomplete)
        append(
            c, actor(), "review.close", "", f"review {review_id}: {closed.title}",
            {"operator": operator, "undecided": closed.progress.left}, now=moment,
        )  # fmt: skip
    return closed


# Evidence


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    directory: Path
    files: tuple[str, ...]
    fingerprint: str
    """Of the key it was signed with."""
    unreadable: tuple[tuple[str, str], ...]
    """(organization, why): whose access is not known as it is."""


def export(
    reader: "Reader",
    review_id: int,
    to: Path,
    *,
    sign: "Signer",
    key: "PublicKey",
    operator: str,
    now: int | None = None,
) -> Exported:
    """Write the evidence of a review into a new directory of its own below `to`: all of it, or nothing.

    Args:
        sign: see `console.signing.signer`.

    Raises:
        ReviewError: there is no such review, or it cannot be written.
    """
    from console.signing import document

    moment = now_ms() if now is None else now
    with reader.reading() as c:
        payload, tables = evidence(c, review_id, operator=operator, now=moment)
    payload["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(tables.items())}
    files = {EVIDENCE: document(KIND, payload, sign), **tables}
    stamp = re.sub(r"[-:]|\.\d+", "", rfc3339(moment) or "")
    directory = _written(to, f"review-{review_id}-{stamp}", files)
    lacking = tuple((each["organization"], each["why"]) for each in payload["not_readable"])
    return Exported(directory, tuple(sorted(files)), key.fingerprint, lacking)


def evidence(
    c: "Connection", review_id: int, *, operator: str, now: int
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a review's evidence says, and its tables as CSV by file name.

    Raises:
        UnknownReview: there is none of this number.
    """
    found = reviews.review(c, review_id)
    lines = reviews.lines(c, review_id)
    decisions = reviews.history(c, review_id)
    came = reviews.came_of(c, lines, now=now)
    read = reviews.readings_of(c, found)
    digests = {each.permissions for each in lines} | {each.places for each in lines}
    digests |= {each.decided_permissions for each in lines} | {each.decided_places for each in lines}
    digests |= {each.permissions for each in decisions} | {each.places for each in decisions}
    lists = reviews.contents(c, digests)
    places = {digest for each in lines for digest in (each.places, each.decided_places)} | {
        each.places for each in decisions
    }
    oids = {place.partition(" ")[0] for digest in places for place in lists.get(digest, ())}
    names = reviews.names_of(c, oids)
    lacking = _unreadable(read, reviews.incomplete_groups(c))
    try:
        reviews.check_scope(c, found)
    except ScopeGone as error:
        lacking.append({"oid": "", "organization": f"(node {found.scope_name})", "why": str(error)})
    progress = found.progress
    payload: dict[str, Any] = {
        "about": {
            "review": found.id,
            "title": found.title,
            "scope": found.wanted.scope,
            "scope_name": found.scope_name or "all organizations",
            "principals": list(found.wanted.principals),
            "kinds": list(found.wanted.kinds or reviews.KINDS),
            "permission": found.wanted.permission,
            "started": rfc3339(found.started_at),
            "started_by": found.by,
            "compared": rfc3339(found.looked_at),
            "closed": rfc3339(found.closed_at),
            "closed_by": found.closed_by,
        },
        "source": {
            "of": "what LimaCharlie's API answered, as limegrove's store keeps it; see readings for its age",
            "exported": rfc3339(now),
            "operator": operator,
            "actor": actor(),
            "version": _version(),
        },
        "complete": found.closed_at is not None and not progress.left and not lacking,
        "progress": {
            "lines": progress.lines,
            "attested": progress.attested,
            "revoked_and_still_there": progress.revoked,
            "revoked_and_gone": progress.taken,
            "gone": progress.gone,
            "undecided": progress.undecided,
            "to_decide_again": progress.changed,
        },
        "not_readable": lacking,
        "readings": [_shown_reading(each) for each in read],
        "lines": [_shown_line(each, came.get(each.id)) for each in lines],
        "decisions": [
            {
                "line": each.line,
                "verdict": reviews.VERDICTS[each.verdict],
                "by": each.by,
                "actor": each.actor,
                "at": rfc3339(each.at),
                "reason": each.reason,
                "digest": each.digest,
                "permissions": each.permissions,
                "organizations": each.places,
            }
            for each in decisions
        ],
        "lists": {digest: list(held) for digest, held in lists.items()},
        "names": dict(names),
    }
    return payload, _tables(payload, places, lists, names)


def _version() -> str:
    from console import __version__

    return __version__


def _unreadable(read: Sequence[Reading], groups: Mapping[str, str]) -> list[dict[str, Any]]:
    """Whose access is not known as it is, each with why."""
    lacking: list[dict[str, Any]] = []
    for each in read:
        if each.whole:
            continue
        never = [
            what
            for what, at in (("users and groups", each.access_at), ("API keys", each.keys_at))
            if at is None
        ]
        why = f"{' and '.join(never)} never read" if never else "older than the last attempt, which failed"
        if each.failure:
            why = f"{why}: {each.reason or each.failure}"
        lacking.append(
            {"oid": each.oid, "organization": each.organization if each.oid else "(groups)", "why": why}
        )
    lacking += [
        {"oid": "", "organization": f"(group {name})", "why": f"the members of {gid} elsewhere are not known"}
        for gid, name in groups.items()
    ]
    return lacking


def _shown_reading(each: Reading) -> dict[str, Any]:
    return {
        "oid": each.oid,
        "organization": each.organization if each.oid else "(groups)",
        "access_read": rfc3339(each.access_at),
        "keys_read": rfc3339(each.keys_at) if each.oid else None,
        "failure": each.failure,
        "reason": each.reason,
    }


def _shown_line(each: Line, came: Came | None) -> dict[str, Any]:
    return {
        "line": each.id,
        "kind": each.kind,
        "principal": each.principal,
        "gid": each.gid,
        "group": each.group,
        "digest": each.digest,
        "permissions": each.permissions,
        "organizations": each.places,
        "outside_scope": each.outside,
        "found": rfc3339(each.added_at),
        "changed": rfc3339(each.changed_at),
        "gone": rfc3339(each.gone_at),
        "standing": each.standing,
        "verdict": reviews.VERDICTS[each.verdict],
        "decided_by": each.decided_by,
        "decided": rfc3339(each.decided_at),
        "reason": each.reason,
        "decided_digest": each.decided_digest,
        "decided_permissions": each.decided_permissions,
        "decided_organizations": each.decided_places,
        "plan": each.plan_id,
        "came_of_it": came.words if came is not None else "",
    }


def _tables(
    payload: Mapping[str, Any],
    places: set[str],
    lists: Mapping[str, Sequence[str]],
    names: Mapping[str, str],
) -> dict[str, bytes]:
    rows = []
    for each in payload["lines"]:
        there = lists.get(each["organizations"], ())
        held = lists.get(each["permissions"], ())
        named = [str(names.get(place.partition(" ")[0], place)) for place in there]
        rows.append(
            {
                **{name: each[name] for name in ("line", "standing", "kind", "principal", "group", "gid")},
                "permissions": len(held),
                "privileged": " ".join(reviews.privileged(held)),
                "permission_names": " ".join(held),
                "organizations": len(there),
                "organization_names": ", ".join(named)
                if len(named) <= NAMED_AT_MOST
                else f"see organizations.csv, list {each['organizations']}",
                **{
                    name: each[name]
                    for name in (
                        "outside_scope", "decided_by", "decided", "reason", "plan", "came_of_it", "changed",
                        "gone", "digest", "decided_digest",
                    )
                },
            }
        )  # fmt: skip
    held_by = [
        {"list": digest, "oid": oid, "key": key, "organization": names.get(oid, oid)}
        for digest in sorted(places - {""})
        for oid, _, key in (place.partition(" ") for place in lists.get(digest, ()))
    ]
    return {
        "lines.csv": csv_bytes(rows, list(rows[0]) if rows else ["line"]),
        "organizations.csv": csv_bytes(held_by, ["list", "oid", "key", "organization"]),
        "decisions.csv": csv_bytes(
            payload["decisions"], ["line", "verdict", "by", "actor", "at", "reason", "digest"]
        ),
        "readings.csv": csv_bytes(
            payload["readings"],
            ["oid", "organization", "access_read", "keys_read", "failure", "reason"],
        ),
    }


def _written(to: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """A new directory (0700) with these files (0600); there as a whole, or not at all."""
    temporary = to / f".{name}.{secrets.token_hex(8)}"
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700)
        for file, data in files.items():
            descriptor = os.open(
                temporary / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        _sync(temporary)
        final = next(
            each
            for number in range(1, 1_000)
            if not os.path.lexists(each := to / (name if number == 1 else f"{name}-{number}"))
        )
        # Renaming replaces an empty directory at most, and no file.
        temporary.rename(final)
        _sync(to)
    except (OSError, StopIteration) as error:
        with suppress(OSError):
            shutil.rmtree(temporary)
        why = (getattr(error, "strerror", None) or type(error).__name__).lower()
        raise ReviewError(f"{to} cannot be written: {why}; nothing was exported.") from None
    return final


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Verified:
    """Evidence that is what was signed."""

    key: "PublicKey"
    payload: Mapping[str, Any]
    files: tuple[str, ...]
    """Tables beside it that are what was signed."""
    missing: tuple[str, ...]
    """Tables that are not there."""


def verify(path: Path, *, expected: str = "") -> Verified:
    """Check the evidence of a review: its signature, its lists, and the tables beside it.

    Args:
        path: the document, or the directory that it is in.
        expected: the fingerprint of the key it has to be signed with; "" takes any.

    Raises:
        BadSignature: it is not what was signed.
        ReviewError: it cannot be read.
    """
    from console.signing import Changed, NoDocument, opened

    file = path / EVIDENCE if path.is_dir() else path
    payload, key = opened(_read(file), KIND, expected=expected)
    try:
        wrong = _contradiction(payload)
        tables = {str(name): str(digest) for name, digest in payload["files"].items()}
    except (KeyError, TypeError, AttributeError):
        raise NoDocument("It is signed, and is no evidence of a review.") from None
    if wrong:
        raise Changed(wrong)
    there: list[str] = []
    missing: list[str] = []
    for name, digest in sorted(tables.items()):
        if not re.fullmatch(r"[a-z]{1,32}\.csv", name):
            raise NoDocument("It is signed, and names a file that no evidence has.")
        beside = file.with_name(name)
        if not beside.exists():
            missing.append(name)
        elif hashlib.sha256(_read(beside)).hexdigest() != digest:
            raise Changed(f"{beside} is not the table that was signed: it was changed afterwards.")
        else:
            there.append(name)
    return Verified(key, payload, tuple(there), tuple(missing))


def _contradiction(payload: Mapping[str, Any]) -> str:
    """Why a document does not hold together, although it is signed; "" when it does."""
    for digest, held in payload["lists"].items():
        if content_hash(held) != digest:
            return f"The list {digest[:12]} in it is not what its digest names."
    for line in payload["lines"]:
        for ours, permissions, places in (
            ("digest", "permissions", "organizations"),
            ("decided_digest", "decided_permissions", "decided_organizations"),
        ):
            named = reviews.line_digest(
                line["kind"], line["principal"], line["gid"], line[permissions], line[places]
            )
            if line[ours] and line[ours] != named:
                return f"Line {line['line']} in it does not say what its digest names."
    return ""


def _read(path: Path) -> bytes:
    from console.signing import LARGEST

    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise ReviewError(f"{path} cannot be read: {(error.strerror or 'unknown').lower()}.") from None
