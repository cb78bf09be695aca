"""`limegrove access`: who may do what, and through what."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands import (
    access_break_glass,
    access_findings,
    access_matrix,
    access_plan,
    access_review,
    access_roles,
    access_timeline,
    access_what_if,
    asof,
)
from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.access import Change, Cut, Explanation, Missing, Path
    from store.queries.access import Asked


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `access`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    access_matrix.configure(
        verbs.add_parser("matrix", help="who may do what, of an organization, a principal or a permission")
    )
    explain = verbs.add_parser(
        "explain", help="by which paths somebody has a permission or why not, and what would take it away"
    )
    explain.add_argument(
        "--principal", metavar="P", required=True, help="a user's e-mail, a key's hash, or a group's gid"
    )
    who = verbs.add_parser("who", help="everybody who has a permission, and by which paths")
    for verb in (explain, who):
        verb.add_argument("--permission", metavar="Y", required=True, help="such as sensor.task")
        verb.add_argument("--org", metavar="OID|NAME", required=True, help="its oid or name")
        asof.configure(verb)
    access_what_if.configure(
        verbs.add_parser("what-if", help="what changes would come to: who gains or loses what, and where")
    )
    access_findings.configure(
        verbs.add_parser("findings", help="what is wrong with who may do what, and what takes it away")
    )
    access_plan.configure(verbs)
    access_review.configure(
        verbs.add_parser("review", help="attest or revoke access line by line, and the evidence of that")
    )
    access_roles.configure(verbs)
    access_timeline.configure(
        verbs.add_parser(
            "timeline", help="what was done to who may do what: audit and group logs in one stream"
        )
    )
    access_break_glass.configure(
        verbs.add_parser("break-glass", help="a membership for a while, with a reason, that ends by itself")
    )


def run(session: Session) -> int:
    """Show the matrix of one organization, or answer for one permission on it."""
    verbs = {
        "matrix": access_matrix.run,
        "explain": _explain,
        "who": _who,
        "what-if": access_what_if.run,
        "findings": access_findings.run,
        "plan": access_plan.plan,
        "stage": access_plan.stage,
        "apply": access_plan.apply,
        "review": access_review.run,
        "lint": access_roles.lint,
        "drift": access_roles.drift,
        "export": access_roles.export,
        "timeline": access_timeline.run,
        "break-glass": access_break_glass.run,
    }
    return verbs[session.arguments.verb](session)


def _permission(session: Session, at: int | None) -> str:
    """The permission that is asked for.

    Raises:
        Problem: nobody knows it; exit code 2.
    """
    from store.queries.access import is_permission

    wanted: str = session.arguments.permission
    with session.reader.reading() as connection:
        if not is_permission(connection, wanted, at=at):
            raise Problem(access_matrix.no_permission(wanted), code=2)
    return wanted


NOT_READ = 3
"""The exit code when who may do what was asked of an organization that was never read, or not yet then."""


def _explain(session: Session) -> int:
    from store.access import cuts, explain
    from store.queries.access import facts, find_principal
    from store.times import rfc3339

    oid = session.organization(session.arguments.org)
    at = asof.asked(session)
    permission = _permission(session, at)
    wanted: str = session.arguments.principal
    with session.reader.reading() as connection:
        found = find_principal(connection, wanted, at=at)
        if len(found) != 1:
            raise Problem(access_matrix.no_principal(wanted, found, at), code=2)
        principal, kind = found[0]
        asked = facts(connection, oid, permission, principal, at=at)
    if asked is None:
        raise Problem(f"The organization {oid} was taken out of the store a moment ago.")
    answer = explain(asked.facts, principal, permission, oid, kind=kind)
    smallest = cuts(asked.facts, principal, permission, oid, kind=kind)
    unknown = not answer.granted and not asked.known(kind)
    if unknown:
        session.say(_never_read(asked, at, kind))
    session.show_object(
        shown_explanation(asked, answer)
        | {
            "at": rfc3339(at),
            "cuts": [[shown_change(each) for each in cut.changes] for cut in smallest.cuts],
            "cut_effects": [
                {"organizations": cut.organizations, "other_grants_lost": cut.lost} for cut in smallest.cuts
            ],
            "more_cuts": smallest.more,
        },
        rows=_explained(answer, smallest.cuts),
        columns=("what", "how"),
    )
    if session.output == "table":
        asof.say(session, at)
    return NOT_READ if unknown else 0


def _who(session: Session) -> int:
    from store.access import path_words, who
    from store.queries.access import facts
    from store.times import rfc3339

    oid = session.organization(session.arguments.org)
    at = asof.asked(session)
    permission = _permission(session, at)
    with session.reader.reading() as connection:
        asked = facts(connection, oid, permission, at=at)
    if asked is None:
        raise Problem(f"The organization {oid} was taken out of the store a moment ago.")
    holders = who(asked.facts, permission, oid)
    if asked.checked_at is None:
        session.say(_never_read(asked, at))
    elif not asked.known("key"):
        session.say(
            f"The API keys of {asked.organization} were never read; users and groups were."
            if at is None
            else f"{_never_read(asked, at, 'key')}; users and groups were read"
        )
    if session.output in ("table", "csv"):
        rows: list[dict[str, Any]] = [
            {
                "principal": each.name if session.output == "table" else each.principal,
                "kind": each.kind,
                "paths": "; ".join(path_words(path, each.kind) for path in each.paths),
            }
            for each in holders
        ]
    else:
        rows = [
            {
                "principal": each.principal,
                "name": each.name,
                "kind": each.kind,
                "paths": [shown_path(path) for path in each.paths],
                **({} if at is None else {"at": rfc3339(at)}),
            }
            for each in holders
        ]
    read, have = rfc3339(asked.checked_at) or "never", "have" if at is None else "had"
    session.show_rows(
        rows,
        columns=("principal", "kind", "paths"),
        footer=f"{len(holders)} {have} {permission} on {asked.organization}, read {read}",
    )
    if session.output == "table":
        asof.say(session, at)
    return NOT_READ if asked.checked_at is None else 0


def _never_read(asked: "Asked", at: int | None, kind: str = "") -> str:
    from store.times import rfc3339

    since = asked.keys_first_at if kind == "key" else asked.first_at
    if at is not None and since is not None:
        what = "Which keys there were on" if kind == "key" else "Who might do what on"
        return f"{what} {asked.organization} on {rfc3339(at)} is not known: only since {rfc3339(since)}"
    why = f": {asked.reason}" if asked.reason else "; run `limegrove sync`"
    return f"Who may do what on {asked.organization} was never read, so what is not there may be{why}"


def shown_explanation(asked: "Asked", answer: "Explanation") -> dict[str, Any]:
    """An explanation as `access explain` prints it, but for the cuts.

    Returns:
        `{granted, paths, missing, ...}`. `granted` is null when it is not known: no path was found, and the
        organization's users and groups (of a key, its keys) were never read.
    """
    from store.times import rfc3339

    return {
        "principal": answer.principal,
        "name": answer.name,
        "kind": answer.kind,
        "permission": answer.permission,
        "oid": answer.oid,
        "organization": asked.organization,
        "granted": True if answer.granted else False if asked.known(answer.kind) else None,
        "paths": [shown_path(path) for path in answer.paths],
        "covered_by": list(answer.covered),
        "missing": [_shown_missing(each) for each in answer.missing],
        "checked_at": rfc3339(asked.keys_checked_at if answer.kind == "key" else asked.checked_at),
        "failure": asked.failure,
        "reason": asked.reason,
    }


def shown_path(path: "Path") -> dict[str, Any]:
    """A path as JSON: `{via, gid?, ...}`; `since` and `by` are null where nothing tells."""
    from store.times import rfc3339

    told = {"since": rfc3339(path.since), "by": path.by or None, "told_by": path.told or None}
    if path.via == "direct":
        return {"via": "direct", **told}
    return {
        "via": "group",
        "gid": path.gid,
        "name": path.name,
        "owners": list(path.owners),
        "members": path.members,
        "organizations": path.organizations,
        "complete": path.complete,
        "began": path.began or None,
        **told,
    }


def shown_change(change: "Change") -> dict[str, str]:
    """`{change, gid?, principal?, permission?}`."""
    named = {"gid": change.gid, "principal": change.principal, "permission": change.permission}
    return {"change": change.change, **{name: value for name, value in named.items() if value}}


def _shown_missing(missing: "Missing") -> dict[str, Any]:
    shown: dict[str, Any] = {"link": missing.link}
    if missing.gid:
        shown |= {
            "gid": missing.gid,
            "name": missing.name,
            "members": missing.members,
            "organizations": missing.organizations,
        }
    if missing.permissions:
        shown["permissions"] = list(missing.permissions)
    return shown


def _explained(answer: "Explanation", smallest: "tuple[Cut, ...]") -> list[dict[str, str]]:
    """The answer as lines of a table."""
    from store.access import cut_words, missing_words, path_words

    rows = [{"what": "path", "how": path_words(path, answer.kind)} for path in answer.paths]
    rows += [{"what": "missing", "how": missing_words(each, answer)} for each in answer.missing]
    rows += [
        {"what": "covered by", "how": f"{name}, which is held too and holds for every record"}
        for name in answer.covered
        if answer.granted
    ]
    rows += [{"what": "smallest cut", "how": cut_words(cut, answer)} for cut in smallest]
    return rows
