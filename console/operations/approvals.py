"""The second person: a risky plan is approved by a signature of its hash that somebody else made.

Signatures are OpenSSH's (`ssh-keygen -Y`), so that any key will do, also one on a token. Who may approve
stands in an allowed-signers file that the operator of the console must not be able to write. What this
proves: that somebody who holds a key of that file has seen this very plan. What it does not: whoever holds
the API key can write to LimaCharlie without limegrove.
"""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, insert, select, update

from console.operations.actor import actor
from store import journal, models
from store.database import Store
from store.rollouts import keeping
from store.rollouts.keeping import Plan
from store.times import rfc3339

NAMESPACE: Final = "limegrove-rollout"
"""A signature made for anything else (a commit, a file) is none of a plan."""
LIVES: Final = 4 * 60 * 60 * 1000
"""Milliseconds for which an approval holds."""
PATIENCE: Final = 60.0
"""Seconds for which `ssh-keygen` may take, its passphrase or its token included."""
LONGEST: Final = 20_000
"""Characters of a signature."""

_APPROVAL: Table = models.RolloutApproval.__table__  # type: ignore[attr-defined]


class Refused(Exception):
    """The plan was not approved; the text is the sentence for the operator."""


@dataclass(frozen=True)
class Approved:
    """An approval that was kept."""

    plan_id: int
    identity: str
    expires_at: int
    """Milliseconds, UTC."""


def message(plan: Plan, identity: str, expires_at: int) -> bytes:
    """What is signed: which plan, by whom, until when."""
    return (
        f"limegrove approves rollout plan {plan.id}\nhash {plan.hash}\nby {identity}\n"
        f"until {rfc3339(expires_at)}\n"
    ).encode()


def sign(plan: Plan, identity: str, key: Path, *, expires_at: int) -> str:
    """A signature of a plan, made here with a private key or one that an agent or a token holds.

    Args:
        key: the private key, or the public one of a key that the agent holds.

    Raises:
        Refused: `ssh-keygen` cannot sign with it.
    """
    with tempfile.TemporaryDirectory(prefix="limegrove-") as directory:
        file = Path(directory) / "plan"
        file.write_bytes(message(plan, identity, expires_at))
        done = _keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file))
        if done.returncode != 0:
            raise Refused(f"`ssh-keygen` did not sign with {key}: {_said(done)}")
        return file.with_suffix(".sig").read_text()


def keep(
    plan_id: int, identity: str, signature: str, *, signers: Path, store: Store, expires_at: int, now: int
) -> Approved:
    """Check a signature of a plan and keep it.

    Args:
        signers: the allowed-signers file.
        expires_at: until when it holds, as it was signed.
        now: milliseconds, UTC.

    Raises:
        Refused: it is no approval of that plan; nothing was kept.
        PlanError: there is no such plan.
    """
    check_signers(signers)
    with store.writing() as c:
        plan = keeping.load(c, plan_id)
        if plan.state != "draft":
            raise Refused(f"Plan {plan_id} is {plan.state}: there is nothing to approve.")
        if now >= plan.expires_at:
            raise Refused(f"Plan {plan_id} has expired; plan again, and approve that.")
        if identity.casefold() == plan.by.casefold():
            raise Refused(f"{identity} planned it: somebody else has to approve.")
        if not now < expires_at <= now + LIVES:
            raise Refused("An approval holds for at most four hours from now.")
        _verify(plan, identity, signature, expires_at, signers)
        c.execute(
            insert(_APPROVAL).values(
                plan_id=plan_id, hash=plan.hash, identity=identity, signature=signature, signed_at=now,
                expires_at=expires_at,
            )
        )  # fmt: skip
        detail = {"plan": plan_id, "hash": plan.hash, "by": identity, "until": rfc3339(expires_at)}
        journal.append(c, actor(), "rollout.approved", target=plan.title, detail=detail, now=now)
    return Approved(plan_id, identity, expires_at)


def lacking(c: Connection, plan: Plan, *, signers: Path | None, applying: Iterable[str], now: int) -> str:
    """Why a plan that needs a second identity must not be applied; "" when it may: its approval is used then.

    Args:
        c: of `Store.writing()`; the rest as of `missing`.
    """
    usable, why = _usable(c, plan, signers, applying, now)
    if usable is not None:
        c.execute(update(_APPROVAL).where(_APPROVAL.c.id == usable).values(used_at=now))
    return why


def missing(c: Connection, plan: Plan, *, signers: Path | None, applying: Iterable[str], now: int) -> str:
    """The same, only looked at: no approval is used.

    Every signature is checked again: what is in the store could have been put there by anybody.

    Args:
        applying: the names of who applies it: the operator, and the credential's identity.
        now: milliseconds, UTC.
    """
    return _usable(c, plan, signers, applying, now)[1]


def _usable(
    c: Connection, plan: Plan, signers: Path | None, applying: Iterable[str], now: int
) -> tuple[int | None, str]:
    """The approval under which a plan may be applied; None, and why it may not."""
    need = f"Plan {plan.id} needs a second person: `limegrove rollout approve {plan.id}`."
    if signers is None:
        return None, f"{need} No allowed-signers file is set (`allowed_signers`)."
    try:
        check_signers(signers)
    except Refused as error:
        return None, str(error)
    rows = c.execute(
        select(_APPROVAL).where(_APPROVAL.c.plan_id == plan.id).order_by(_APPROVAL.c.id.desc())
    ).all()
    mine = {each.casefold() for each in applying if each}
    why = need
    for row in rows:
        if row.used_at is not None:
            why = f"The approval of plan {plan.id} was used already."
        elif row.hash != plan.hash:
            why = f"The approval is of another state of plan {plan.id}."
        elif now >= row.expires_at:
            why = f"The approval of plan {plan.id} by {row.identity} has expired."
        elif row.identity.casefold() in mine or row.identity.casefold() == plan.by.casefold():
            why = f"{row.identity} approved plan {plan.id} and applies or planned it: that takes two."
        else:
            try:
                _verify(plan, row.identity, row.signature, row.expires_at, signers)
            except Refused as error:
                why = str(error)
                continue
            return int(row.id), ""
    return None, why


def check_signers(file: Path) -> None:
    """See whether the operator cannot write the allowed-signers file, nor put another one in its place.

    Raises:
        Refused: it is not there, or is the operator's own.
    """
    for path in (file, file.parent):
        try:
            found = path.stat()
        except OSError as error:
            raise Refused(f"The allowed-signers file {file} cannot be read: {error.strerror}.") from error
        if found.st_uid == os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            what = "is" if path == file else "lies in a directory that is"
            raise Refused(
                f"The allowed-signers file {file} {what} writable for this user: then whoever applies a plan "
                "could approve it as well. It has to belong to somebody else."
            )


def _verify(plan: Plan, identity: str, signature: str, expires_at: int, signers: Path) -> None:
    if len(signature) > LONGEST:
        raise Refused("This is no signature: it is far too long.")
    with tempfile.TemporaryDirectory(prefix="limegrove-") as directory:
        file = Path(directory) / "plan.sig"
        file.write_text(signature)
        done = _keygen(
            "-Y", "verify", "-f", str(signers), "-I", identity, "-n", NAMESPACE, "-s", str(file),
            stdin=message(plan, identity, expires_at),
        )  # fmt: skip
    if done.returncode != 0:
        raise Refused(
            f"This is no signature of plan {plan.id} by {identity}, whom the allowed-signers file names: "
            f"{_said(done)}"
        )


def _keygen(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603  (no shell, and arguments of our own)
            ["ssh-keygen", *arguments],  # noqa: S607  (the system's, wherever it is)
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise Refused("`ssh-keygen` is not installed: it is a part of OpenSSH.") from None
    except subprocess.TimeoutExpired:
        raise Refused("`ssh-keygen` did not answer within a minute.") from None


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    text = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return text[-1] if text else f"exit code {done.returncode}"
