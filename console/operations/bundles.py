"""Bundles: the configuration, access and alerts of a scope in one signed file, for review without the cloud.

Written fresh from the store, never a copy of it with something deleted. Opening one fills an empty
store, which belongs to the reviewer; nothing of the reviewer's own is touched, and nothing reaches the cloud.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from console import bundlefile, signing
from console.operations.actor import actor
from console.operations.files import FileError, refuse_nowhere
from store import bundles, journal
from store.bundles import BadBundle
from store.schema import REVISIONS
from store.times import now_ms, rfc3339

if TYPE_CHECKING:
    from store.database import Store

DAY: Final = 86_400_000
EXPIRES: Final = 30
"""Days after which a bundle is not opened any more, unless its maker says otherwise."""
LONGEST: Final = 3_650
SEEN: Final = "bundles.json"
"""In the workspace: of each key and scope, when the newest bundle was made that was opened here."""


class Expired(signing.BadSignature):
    """It was to be read until a time that has passed."""


class FromTheFuture(signing.BadSignature):
    """It says that it was made at a time that has not come."""


class OtherSchema(signing.BadSignature):
    """Another version of limegrove made it."""


class Older(signing.BadSignature):
    """A newer bundle of the same scope, from the same key, was opened here before."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature, digests and dates were checked."""

    file: bundlefile.Opened
    made_at: int
    expires_at: int
    by: str
    limegrove: str
    node: str
    path: str
    """Of the scope in the maker's tree; "" for everything."""
    names: Mapping[str, str]
    """oid -> what the organization is called."""
    unread: tuple[tuple[str, str, str], ...]
    """(oid, subject, why) of what was not whole when it was made."""
    profile: str
    since: int | None
    left_out: tuple[str, ...]

    @property
    def rows(self) -> dict[str, int]:
        """How many of what."""
        return {part.name: part.rows for part in self.file.parts if part.rows}


def export(
    store: "Store", node: str, path: Path, *, sign: signing.Signer, key: signing.PublicKey,
    profile: str = bundles.FULL, since: int | None = None, days: int = EXPIRES, operator: str,
    now: int | None = None,
) -> Bundle:  # fmt: skip
    """Write what the store knows of a scope into a signed file, and that it was done into the journal.

    Args:
        node: of the tree; "" for everything.
        path: must not exist; its directory must.
        profile: of `store.bundles.PROFILES`.
        since: alerts and entries of the audit log before it (ms) are left out; None for all.
        days: for how long it may be opened.

    Raises:
        BadBundle: there is nothing in the scope.
        FileError: it cannot be written.
    """
    from console import __version__

    now = now_ms() if now is None else now
    refuse_nowhere(path.parent)
    with store.reader.reading() as c:
        wanted = bundles.scope(c, node)
        if not wanted.oids:
            raise BadBundle("There is no organization in this scope; no bundle was made.")
        redacted = bundles.redaction(c, wanted, profile)
        about = {
            "made_at": now, "expires_at": now + days * DAY, "by": operator, "limegrove": __version__,
            "schema": REVISIONS[-1], "node": wanted.node, "path": redacted.said(wanted.path),
            "organizations": [[oid, redacted.said(name)] for oid, name in wanted.names.items()],
            "unread": [[oid, subject, redacted.said(why)] for oid, subject, why in wanted.unread],
            "profile": profile, "since": since,
            "left_out": [*bundles.LEFT_OUT, *bundles.PROFILES[profile]],
        }  # fmt: skip
        try:
            bundlefile.write(path, about, bundles.rows(c, wanted, redacted, since=since), sign)
        except FileExistsError as error:
            raise FileError(str(error)) from None
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror}. Nothing was left there.") from error
    try:
        made = checked(path, expected=key.fingerprint, now=now)
        _record(store, node, profile, since, made, now)
    except BaseException:
        path.unlink(missing_ok=True)  # what the journal does not name must not leave
        raise
    return made


def _record(store: "Store", node: str, profile: str, since: int | None, made: "Bundle", now: int) -> None:
    with store.writing() as writing:
        journal.append(
            writing, actor(), "bundle.export", target=node,
            detail={
                "profile": profile, "organizations": len(made.names), "since": since,
                "alerts": made.rows.get("detection", 0), "expires_at": made.expires_at,
                "fingerprint": made.file.key.fingerprint,
            },
            now=now,
        )  # fmt: skip


def checked(path: Path, *, expected: str = "", now: int | None = None) -> Bundle:
    """A bundle, once everything about it was checked that can be without taking it in.

    Args:
        expected: the fingerprint of the key that it has to be signed with; "" checks the signature alone.

    Raises:
        BadSignature: it is not what was signed, not with this key, too old, or not for this version.
        FileError: it cannot be read.
    """
    now = now_ms() if now is None else now
    try:
        file = bundlefile.opened(path, expected=expected)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    said = _said(file)
    if said.made_at > now + DAY:
        raise FromTheFuture(
            f"It says it was made {rfc3339(said.made_at)}, which has not come; look at the clock."
        )
    if said.expires_at <= now:
        raise Expired(
            f"It was made {rfc3339(said.made_at)}, to be read until {rfc3339(said.expires_at)}; ask who "
            "made it for a new one."
        )
    if file.about["schema"] != REVISIONS[-1]:
        raise OtherSchema(
            f"limegrove {said.limegrove} made it, with the schema {file.about['schema']}; this one reads "
            f"{REVISIONS[-1]}."
        )
    return said


def take(bundle: Bundle, store: "Store", report: Callable[[str], object] = lambda _: None) -> None:
    """Make an empty store what a bundle holds.

    Args:
        report: told how far it has come.

    Raises:
        BadSignature, BadBundle: a part or a row is not what it has to be. The store is of no use then.
    """
    taking = bundles.Taking(store, bundle.names)
    for part in bundle.file.parts:
        name, of = part.name.replace("_", " "), part.rows
        taking.take(
            part.name,
            bundle.file.lines(part),
            lambda done, name=name, of=of: report(f"{done:,} of {of:,} {name}"),  # type: ignore[misc]
        )
    report("folding the alerts")
    taking.finish()


def refuse_older(home: Path, bundle: Bundle) -> None:
    """Refuse a bundle of whose scope a newer one from the same key was opened in this workspace.

    Raises:
        Older: it was.
    """
    newest = _seen(home).get(_of(bundle), 0)
    if bundle.made_at < newest:
        raise Older(
            f"It was made {rfc3339(bundle.made_at)}, and one of the same scope that was made "
            f"{rfc3339(newest)} was opened here before. If the older one is meant, say --older."
        )


def remember(home: Path, bundle: Bundle) -> None:
    """Keep that it was opened, for `refuse_older`."""
    from store.credentials.files import locked, write_private

    with locked(home / f".{SEEN}.lock"):
        seen = _seen(home)
        seen[_of(bundle)] = max(bundle.made_at, seen.get(_of(bundle), 0))
        write_private(home / SEEN, json.dumps(seen, indent=1, sort_keys=True).encode())


def _of(bundle: Bundle) -> str:
    return f"{bundle.file.key.fingerprint} {bundle.node}"


def _seen(home: Path) -> dict[str, int]:
    from store.credentials.files import read_private

    content = read_private(home / SEEN)
    try:
        read = json.loads(content) if content is not None else {}
        if isinstance(read, dict) and all(type(each) is int for each in read.values()):
            return read
    except (ValueError, RecursionError):
        pass
    raise FileError(f"{home / SEEN} is damaged; move it away, and it is begun anew.")


_SHAPE: Final[dict[str, Any]] = {
    "made_at": int, "expires_at": int, "by": str, "limegrove": str, "schema": str, "node": str, "path": str,
    "organizations": list, "unread": list, "profile": str, "since": (int, type(None)), "left_out": list,
}  # fmt: skip


def _said(file: bundlefile.Opened) -> Bundle:
    about = file.about
    fits = set(about) == set(_SHAPE) and all(
        isinstance(about[key], kind) and not isinstance(about[key], bool) for key, kind in _SHAPE.items()
    )
    fits = fits and _texts(about["organizations"], 2) and _texts(about["unread"], 3)
    fits = fits and all(isinstance(each, str) for each in about["left_out"])
    fits = fits and all(-(2**62) < (about[key] or 0) < 2**62 for key in ("made_at", "expires_at", "since"))
    if not fits or about["profile"] not in bundles.PROFILES:
        raise bundlefile.Malformed("Its first line is signed, and does not say what that of a bundle says.")
    return Bundle(
        file, about["made_at"], about["expires_at"], about["by"], about["limegrove"], about["node"],
        about["path"], dict(about["organizations"]), tuple(map(tuple, about["unread"])), about["profile"],
        about["since"], tuple(about["left_out"]),
    )  # fmt: skip


def _texts(rows: list[Any], many: int) -> bool:
    return all(
        isinstance(row, list) and len(row) == many and all(isinstance(each, str) for each in row)
        for row in rows
    )
