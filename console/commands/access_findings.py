"""`limegrove access findings`: what is wrong with who may do what, and what takes it away."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from store.accesschanges import AccessChange
    from store.accesslines import Names
    from store.findings import Finding

KINDS = (
    "leak", "left_access", "privileged_group", "privileged_key", "privileged_person", "key_of_left",
    "staff_direct", "owner_sprawl", "single_owner", "group_drift", "key_anywhere", "key_stale", "no_mfa",
    "duplicate", "unused", "everything", "empty_group",
)  # fmt: skip
"""Those of `store.findings`, which is too heavy to be imported for a `--help`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `access findings`."""
    parser.add_argument(
        "--kind",
        metavar="K",
        action="append",
        default=[],
        help=f"only these, the option may be repeated: {', '.join(KINDS)}",
    )
    parser.add_argument("--org", metavar="OID|NAME", help="only what this organization has part in")
    parser.add_argument("--show", metavar="ID", help="one of them, with all of its evidence and its remedy")
    parser.add_argument(
        "--stage", metavar="ID", action="append", default=[],
        help="stage the remedy of this one for the next plan; the option may be repeated",
    )  # fmt: skip


def run(session: Session) -> int:
    """List what is wrong, the worst first; or show one, or stage remedies.

    Raises:
        Problem: an unknown kind, organization or finding, or a finding whose remedy no machine can choose.
    """
    arguments = session.arguments
    if arguments.stage:
        return _stage(session, list(dict.fromkeys(arguments.stage)))
    if arguments.show:
        return _show(session, arguments.show)
    return _list(session)


def one_finding(session: Session, wanted: str) -> "Finding":
    """The finding of this id, as far as `--scope` and `--org` go.

    Raises:
        Problem: there is none, or none any more; exit code 2.
    """
    from store.queries.findings import finding
    from store.times import now_ms

    scope = session.scope()
    given = getattr(session.arguments, "org", None)
    oid = session.organization(given) if given else ""
    with session.reader.reading() as connection:
        found = finding(connection, wanted, now=now_ms(), scope=scope, oid=oid)
    if found is None:
        raise Problem(
            f"There is no finding {shown(wanted)}, or none any more; `limegrove access findings` lists them.",
            code=2,
        )
    return found


def remedy_of(session: Session, wanted: str) -> "tuple[AccessChange, ...]":
    """The changes that take a finding away.

    Raises:
        Problem: there is no such finding (exit code 2), or no machine can choose its changes (exit code 1).
    """
    found = one_finding(session, wanted)
    if not found.remedy:
        lines = f" A line to complete: {found.lines[0]}" if found.lines else ""
        raise Problem(f"{found.id} has no remedy that a machine can choose. {found.advice}{lines}")
    return found.remedy


def _list(session: Session) -> int:
    from store.queries.findings import findings
    from store.times import now_ms

    arguments = session.arguments
    unknown = [each for each in arguments.kind if each not in KINDS]
    if unknown:
        raise Problem(f"There is no kind {shown(unknown[0])}; there are {', '.join(KINDS)}.", code=2)
    scope = session.scope()
    oid = session.organization(arguments.org) if arguments.org else ""
    with session.reader.reading() as connection:
        from store.accesslines import names

        report = findings(connection, now=now_ms(), scope=scope, oid=oid, kinds=arguments.kind or None)
        called = names(connection, [change for each in report.findings for change in each.remedy])
    session.show_object(
        {
            "findings": [shown_finding(each, called) for each in report.findings],
            "staff": {
                "domains": sorted(report.staff.domains),
                "addresses": sorted(report.staff.addresses),
                "source": report.staff.source or None,
            },
            "unknown": list(report.unknown),
        },
        rows=[
            {
                "id": each.id,
                "severity": _severity(each),
                "who": each.subject,
                "finding": each.sentence,
                "organizations": len(each.oids),
                "people": len(each.people),
                "changes": len(each.remedy),
            }
            for each in report.findings
        ],
        columns=("severity", "who", "finding", "organizations", "people", "changes", "id"),
    )
    if not report.read:
        session.say("Who may do what was never read, so nothing is found in nothing; run `limegrove sync`.")
    if session.output == "table":
        session.say(_counts(report.findings))
        session.say(f"{report.staff.words[:1].upper()}{report.staff.words[1:]}.")
        for sentence in report.unknown:
            session.say(sentence)
    return 0


def _counts(found: "tuple[Finding, ...]") -> str:
    from store.access import counted
    from store.alerts import SEVERITIES

    if not found:
        return "Nothing was found."
    by = [
        f"{number} {SEVERITIES[level]}"
        for level in range(len(SEVERITIES) - 1, -1, -1)
        if (number := sum(1 for each in found if each.severity == level))
    ]
    return f"{counted(len(found), 'finding')}: {', '.join(by)}"


def _severity(finding: "Finding") -> str:
    from store.alerts import SEVERITIES

    return SEVERITIES[finding.severity]


def shown_finding(finding: "Finding", names: "Names") -> dict[str, Any]:
    """A finding as `access findings` prints it.

    Returns:
        `{id, kind, severity, subject, sentence, organizations, people, evidence, remedy, advice, lines}`;
        `remedy` as `[{change, oid?, gid?, principal?, permission?, words}]`.
    """
    return {
        "id": finding.id,
        "kind": finding.kind,
        "severity": _severity(finding),
        "subject": finding.subject,
        "sentence": finding.sentence,
        "organizations": list(finding.oids),
        "people": list(finding.people),
        "evidence": list(finding.evidence),
        "remedy": [_shown_change(each, names) for each in finding.remedy],
        "advice": finding.advice,
        "lines": list(finding.lines),
    }


def _shown_change(change: "AccessChange", names: "Names") -> dict[str, str]:
    from store.accesslines import words

    named = {
        "oid": change.oid, "gid": change.gid, "principal": change.principal, "permission": change.permission,
    }  # fmt: skip
    return {
        "change": change.kind,
        **{name: value for name, value in named.items() if value},
        "words": words(change, names),
    }


def _show(session: Session, wanted: str) -> int:
    from store.accesslines import names, words

    found = one_finding(session, wanted)
    with session.reader.reading() as connection:
        called = names(connection, found.remedy)
    rows = [
        {"what": "finding", "how": f"{found.subject} {found.sentence} ({_severity(found)})"},
        *({"what": "evidence", "how": line} for line in found.evidence),
        {"what": "people", "how": ", ".join(found.people) or "none"},
        *({"what": "change", "how": words(each, called)} for each in found.remedy),
        *([{"what": "remedy", "how": found.advice}] if found.advice else []),
        *({"what": "to complete", "how": line} for line in found.lines),
    ]
    session.show_object(shown_finding(found, called), rows=rows, columns=("what", "how"))
    return 0


def _stage(session: Session, wanted: list[str]) -> int:
    from store import accessplans
    from store.access import counted
    from store.times import now_ms

    session.refuse_read_only("access findings --stage")
    changes = [change for each in wanted for change in remedy_of(session, each)]
    operator = session.operator
    with session.store().writing() as connection:
        new = accessplans.stage(connection, operator, changes, now=now_ms())
        staged = len(accessplans.staged(connection, operator))
    session.say(
        f"{counted(new, 'change')} staged, {staged:,} in all; `limegrove access plan` makes a plan of them."
    )
    session.show_object({"staged": new, "in_all": staged, "findings": wanted})
    return 0
