"""`limegrove access review`: access is attested or revoked line by line, and the evidence of that."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from store.reviews import Came, Decided, Decision, Difference, Line, Progress, Review

    Answer = TypeVar("Answer")

_READING = ("list", "show", "progress", "export", "verify")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `access review`."""
    verbs = parser.add_subparsers(dest="step", metavar="VERB", required=True)
    start = verbs.add_parser("start", help="begin a review of everything below --scope")
    start.add_argument("--title", metavar="TEXT", required=True, help="what it is for")
    start.add_argument(
        "--principal", metavar="PATTERN", action="append", default=[],
        help="only principals like this, such as *@customer.example; again for more",
    )  # fmt: skip
    start.add_argument(
        "--kind", choices=("member", "owner", "direct", "key"), action="append", default=[],
        help="only this way to have access; again for more",
    )  # fmt: skip
    start.add_argument("--permission", metavar="Y", default="", help="only what gives this permission")
    verbs.add_parser("list", help="every review, open ones first")

    def of(name: str, says: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=says)
        verb.add_argument("id", metavar="ID", type=int)
        return verb

    show = of("show", "the lines of a review; with LINE all of one, and what was decided")
    show.add_argument("line", metavar="LINE", type=int, nargs="?")
    of("progress", "how far a review has come")
    attest = of("attest", "say that this access is to be as it is")
    revoke = of("revoke", "say that it is to go, and make the plan that takes it away")
    revoke.add_argument(
        "--later", action="store_true", help="make no plan yet; `access review plan` makes one of all"
    )
    undecide = of("undecide", "take decisions back; the record keeps both")
    of("plan", "make one plan of everything that was revoked and is still there")
    export = of("export", "write the evidence: signed JSON, and tables as CSV")
    export.add_argument("--to", metavar="DIR", required=True, help="a new directory is made in it")
    close = of("close", "close a review; nothing of it changes any more")
    close.add_argument("--incomplete", action="store_true", help="also when lines are undecided")
    for verb in (show, attest, revoke, undecide):
        verb.add_argument(
            "--filter",
            metavar="WORDS",
            help="the lines that this matches: is:left kind:direct perm:user.ctrl",
        )
    for verb in (attest, revoke, undecide):
        verb.add_argument("lines", metavar="LINE", type=int, nargs="*")
    for verb in (attest, revoke):
        verb.add_argument("--reason", metavar="TEXT", required=True, help="why; it stands in the evidence")
    verify = verbs.add_parser("verify", help="whether evidence is what was signed, and with which key")
    verify.add_argument("file", metavar="FILE", help="evidence.json, or the directory it is in")
    verify.add_argument(
        "--fingerprint", metavar="SHA256:...", default="",
        help="of the key it has to be signed with; this workspace's own unless given",
    )  # fmt: skip


def run(session: Session) -> int:
    """Begin, list, show, decide, plan, export, verify or close."""
    step: str = session.arguments.step
    if step not in _READING:
        session.refuse_read_only(f"access review {step}")
    return {
        "start": _start, "list": _list, "show": _show, "progress": _progress, "attest": _decide,
        "revoke": _decide, "undecide": _decide, "plan": _plan, "export": _export, "verify": _verify,
        "close": _close,
    }[step](session)  # fmt: skip


def _possible(do: "Callable[[], Answer]", *, code: int = 1) -> "Answer":
    from store.reviews import ReviewError, UnknownReview

    try:
        return do()
    except UnknownReview as error:
        raise Problem(str(error), code=2) from error
    except ReviewError as error:
        raise Problem(str(error), code=code) from error


def listed(found: "Review") -> dict[str, Any]:
    """A review as `list` prints it; times RFC 3339 in UTC."""
    from store.times import rfc3339

    return {
        "id": found.id,
        "state": "open" if found.closed_at is None else "closed",
        "title": found.title,
        "scope": found.scope_name or "all organizations",
        "principals": list(found.wanted.principals),
        "kinds": list(found.wanted.kinds),
        "permission": found.wanted.permission,
        "by": found.by,
        "started": rfc3339(found.started_at),
        "compared": rfc3339(found.looked_at),
        "closed": rfc3339(found.closed_at),
        "closed_by": found.closed_by,
        **progress_of(found.progress),
    }


def progress_of(progress: "Progress") -> dict[str, int]:
    """How far it has come, in lines."""
    return {
        "lines": progress.lines,
        "done": progress.done,
        "left": progress.left,
        "attested": progress.attested,
        "revoked": progress.revoked,
        "taken": progress.taken,
        "gone": progress.gone,
        "undecided": progress.undecided,
        "changed": progress.changed,
    }


def listed_line(line: "Line", came: "Came | None" = None) -> dict[str, Any]:
    """A line as `show` prints it."""
    from store.times import rfc3339

    return {
        "line": line.id,
        "standing": line.standing,
        "kind": line.kind,
        "principal": line.principal,
        "group": line.group,
        "gid": line.gid,
        "permissions": line.permission_count,
        "organizations": line.place_count,
        "outside_scope": line.outside,
        "decided_by": line.decided_by,
        "decided": rfc3339(line.decided_at),
        "reason": line.reason,
        "found": rfc3339(line.added_at),
        "changed": rfc3339(line.changed_at),
        "gone": rfc3339(line.gone_at),
        "plan": line.plan_id,
        "came_of_it": came.words if came is not None else "",
        "digest": line.digest,
        "decided_digest": line.decided_digest,
    }


def _start(session: Session) -> int:
    from console.operations import reviews
    from store.reviews import Wanted

    given = session.arguments
    wanted = Wanted(session.scope(), tuple(given.principal), tuple(given.kind), given.permission)
    made = _possible(
        lambda: reviews.start(session.store(), given.title, wanted, operator=session.operator), code=2
    )
    session.show_object(listed(made))
    return 0


def _list(session: Session) -> int:
    from store.reviews import reviews

    with session.reader.reading() as connection:
        found = reviews(connection)
    session.show_rows(
        [listed(each) for each in found],
        columns=("id", "state", "title", "scope", "done", "lines", "left", "changed", "revoked", "by"),
        footer=f"{len(found)} reviews, {sum(1 for each in found if each.closed_at is None)} open",
    )
    return 0


def _current(session: Session) -> None:
    """Compare the review with the access of now, where that may be written down."""
    from console.operations import reviews
    from store.reviews import ScopeGone

    if session.settings.read_only or session.has_no_store():
        return
    try:
        _possible(lambda: reviews.refresh(session.store(), session.arguments.id))
    except Problem as problem:
        if not isinstance(problem.__cause__, ScopeGone):
            raise
        session.say(str(problem))


def _chosen(session: Session) -> "list[Line]":
    """The lines that are named, or that the filter matches; with neither all of them."""
    from store import reviews

    given = session.arguments
    numbers = list(getattr(given, "lines", ()))
    if numbers and given.filter is not None:
        raise Problem("Name lines, or give --filter: not both.", code=2)
    try:
        chosen = reviews.choose(given.filter or "")
    except ValueError as error:
        raise Problem(f"--filter {shown(given.filter)}: {error}", code=2) from error

    def read() -> "list[Line]":
        with session.reader.reading() as connection:
            found = reviews.review(connection, given.id)
            lines = reviews.lines(connection, given.id, numbers or None)
            held = reviews.contents(connection, {each.permissions for each in lines})
        return [each for each in lines if chosen.holds(each, found.started_at, held)]

    return _possible(read)


def _show(session: Session) -> int:
    from store import reviews
    from store.times import now_ms

    _current(session)
    given = session.arguments
    if given.line is not None:
        return _one(session)
    lines = _chosen(session)
    with session.reader.reading() as connection:
        found = reviews.review(connection, given.id)
        came = reviews.came_of(connection, lines, now=now_ms())
    rows = [listed_line(each, came.get(each.id)) for each in lines]
    session.show_object(
        listed(found) | {"shown": rows},
        rows=rows,
        columns=("line", "standing", "kind", "principal", "group", "permissions", "organizations",
            "decided_by", "reason", "came_of_it"),
    )  # fmt: skip
    if session.output == "table":
        session.say(
            f"{len(rows)} of {found.progress.lines} lines; {found.progress.done} need nothing any more, "
            f"{found.progress.left} wait for a decision."
        )
    return 0


def _one(session: Session) -> int:
    """All of one line: what it covers, how that differs from what was decided, and every decision."""
    from store import reviews
    from store.times import now_ms

    given = session.arguments

    def read() -> dict[str, Any]:
        with session.reader.reading() as connection:
            reviews.review(connection, given.id)
            found = reviews.lines(connection, given.id, [given.line])
            if not found:
                raise reviews.UnknownReview(f"Review {given.id} has no line {given.line}.")
            line = found[0]
            lists = reviews.contents(connection, [line.permissions, line.places])
            places = lists.get(line.places, ())
            names = reviews.names_of(connection, (each.partition(" ")[0] for each in places))
            came = reviews.came_of(connection, found, now=now_ms()).get(line.id)
            return listed_line(line, came) | {
                "permission_names": list(lists.get(line.permissions, ())),
                "organization_names": {
                    each: names[each.partition(" ")[0]] for each in places
                },
                "difference": _shown_difference(reviews.difference(connection, line)),
                "decisions": [
                    _shown_decision(each) for each in reviews.history(connection, given.id, line.id)
                ],
            }  # fmt: skip

    session.show_object(_possible(read))
    return 0


def _shown_difference(difference: "Difference") -> dict[str, list[str]]:
    return {
        "permissions_added": list(difference.permissions_added),
        "permissions_gone": list(difference.permissions_gone),
        "organizations_added": list(difference.places_added),
        "organizations_gone": list(difference.places_gone),
    }


def _shown_decision(decision: "Decision") -> dict[str, Any]:
    from store.reviews import VERDICTS
    from store.times import rfc3339

    return {
        "verdict": VERDICTS[decision.verdict],
        "by": decision.by,
        "actor": decision.actor,
        "at": rfc3339(decision.at),
        "reason": decision.reason,
        "digest": decision.digest,
    }


def _progress(session: Session) -> int:
    from store import reviews

    _current(session)

    def read() -> "Review":
        with session.reader.reading() as connection:
            return reviews.review(connection, session.arguments.id)

    session.show_object(listed(_possible(read)))
    return 0


def _decide(session: Session) -> int:
    from console.operations import reviews as operations
    from store import reviews

    given = session.arguments
    verdict = {"attest": reviews.ATTESTED, "revoke": reviews.REVOKED, "undecide": reviews.OPEN}[given.step]
    if not given.lines and given.filter is None:
        raise Problem(
            f"Which lines? `limegrove access review show {given.id}` lists them; --filter names many.", code=2
        )
    _current(session)
    lines: list[tuple[int, int | None]] = [(each.id, each.version) for each in _chosen(session)]
    known = {number for number, _ in lines}
    # A number that is no line is refused by the operation, and then nothing is decided.
    lines += [(number, None) for number in given.lines if number not in known]
    if not lines:
        raise Problem(f"No line of review {given.id} matches {shown(given.filter)}.", code=2)
    decided = _possible(
        lambda: operations.decide(
            session.store(), given.id, lines, verdict, operator=session.operator,
            reason=getattr(given, "reason", ""),
        ),
        code=5,
    )  # fmt: skip
    answer = _came(decided)
    if given.step == "revoke" and not given.later and (decided.done or decided.unchanged):
        answer["plan"] = _planned(session)
    session.show_object(answer)
    session.say_each(f"Line {each.line}: {each.why}" for each in decided.refused)
    if session.output == "table" and answer.get("plan"):
        session.say(f"`limegrove access apply {answer['plan']['plan']}` takes it away.")
    return 0 if not decided.refused else 3 if decided.done or decided.unchanged else 5


def _came(decided: "Decided") -> dict[str, Any]:
    return {
        "decided": list(decided.done),
        "unchanged": list(decided.unchanged),
        "refused": [{"line": each.line, "why": each.why} for each in decided.refused],
    }


def _planned(session: Session) -> dict[str, int]:
    from dataclasses import asdict

    from console.operations import reviews

    return asdict(
        _possible(
            lambda: reviews.plan(session.store(), session.arguments.id, operator=session.operator), code=5
        )
    )


def _plan(session: Session) -> int:
    session.show_object(_planned(session))
    return 0


def _close(session: Session) -> int:
    from console.operations import reviews

    given = session.arguments
    closed = _possible(
        lambda: reviews.close(
            session.store(), given.id, operator=session.operator, incomplete=given.incomplete
        ),
        code=5,
    )
    session.show_object(listed(closed))
    return 0


def _export(session: Session) -> int:
    from pathlib import Path

    from console import signing
    from console.operations import reviews

    given = session.arguments
    _current(session)
    _possible(lambda: _known(session))
    try:
        sign, key = signing.signer(session.settings, reviews.KIND, may_make=not session.settings.read_only)
    except signing.SigningError as error:
        raise Problem(str(error), code=5 if session.settings.read_only else 1) from error
    made = _possible(
        lambda: reviews.export(
            session.reader, given.id, Path(given.to), sign=sign, key=key, operator=session.operator
        )
    )
    session.show_object(
        {
            "directory": str(made.directory),
            "files": list(made.files),
            "fingerprint": made.fingerprint,
            "not_readable": [{"organization": name, "why": why} for name, why in made.unreadable],
        }
    )
    if made.unreadable:
        session.say(
            f"The access of {len(made.unreadable)} is not known as it is; the evidence names each, with why."
        )
    return 0


def _known(session: Session) -> None:
    """Refuse an unknown review before a key is made for it."""
    from store import reviews

    with session.reader.reading() as connection:
        reviews.review(connection, session.arguments.id)


def _verify(session: Session) -> int:
    from pathlib import Path

    from console import signing
    from console.operations import reviews

    given = session.arguments
    expected: str = given.fingerprint
    try:
        if not expected:
            own = signing.known(session.settings.home)
            expected = own.key.fingerprint if own is not None else ""
        found = _possible(lambda: reviews.verify(Path(given.file), expected=expected))
    except (signing.BadSignature, signing.SigningError) as error:
        raise Problem(f"{given.file}: {error}") from error
    if not expected:
        raise Problem(
            f"{given.file}: the signature fits, but nobody here knows whose key {found.key.fingerprint} is. "
            "Compare it with what `limegrove doctor` of the signer says, and give it with --fingerprint."
        )
    about = found.payload["about"]
    session.show_object(
        {
            "valid": True,
            "fingerprint": found.key.fingerprint,
            "public_key": found.key.text,
            "review": about["review"],
            "title": about["title"],
            "closed": about["closed"],
            "complete": found.payload["complete"],
            "exported": found.payload["source"]["exported"],
            "tables": list(found.files),
            "missing": list(found.missing),
        }
    )
    if found.missing:
        session.say(f"Not beside it, and so not checked: {', '.join(found.missing)}.")
    return 0
