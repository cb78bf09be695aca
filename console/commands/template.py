"""`limegrove template`: infrastructure documents and rules as files, and whether they are right."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands import template_backtest, template_library, template_lint, template_online
from console.commands.session import Problem, Session, shown
from console.commands.template_lint import document_root

if TYPE_CHECKING:
    from store.logic import Kind
    from store.logic.documents import Found, Report

_SUFFIXES = (".yaml", ".yml", ".json")
_KINDS: "dict[str, Kind]" = {"dr": "dr", "fp": "fp"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `template`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    test = verbs.add_parser(
        "test",
        help="run the rules' own unit tests here, or a file of rules and events",
        description="Evaluates detection logic on this machine, as LimaCharlie documents it. What needs the "
        "cloud, or is documented nowhere, is said to be not evaluated. Of a document everything that it "
        "includes is tested too. Exit codes: 0 nothing failed, 1 a test failed or a rule is refused, 2 what "
        "was given cannot be read, 3 LimaCharlie could not be asked about some records.",
    )
    test.add_argument(
        "files", metavar="FILE", nargs="*", help="rule files, documents, or directories of them"
    )
    test.add_argument(
        "--online",
        action="store_true",
        help="have LimaCharlie validate each record of a hive as well; nothing is stored (with --org)",
    )
    test.add_argument(
        "--org", metavar="OID|NAME", help="the organization that is asked, and whose parameters are filled in"
    )
    test.add_argument("--root", metavar="DIR", help="nothing outside it is read; as in `template lint`")
    test.add_argument(
        "--vectors",
        metavar="FILE",
        help='JSON lines {"id", "kind": "dr"|"fp", "rule": {"detect": ...}, "event"} to answer one by one '
        'with {"id", "result": true|false|"not_evaluated", "why"}; - for standard input',
    )
    template_lint.configure(verbs)
    template_library.configure(verbs)
    template_backtest.configure(verbs)


def run(session: Session) -> int:
    """Test rules, or look at documents."""
    given = session.arguments
    if given.verb in ("lint", "show"):
        return {"lint": template_lint.lint, "show": template_lint.show}[given.verb](session)
    if given.verb == "backtest":
        return template_backtest.run(session)
    if given.verb != "test":
        return template_library.run(session)
    if (given.vectors is None) == (not given.files):
        raise Problem(
            "`template test` needs rule files, or --vectors FILE, and not both; see `limegrove template test "
            "--help`.",
            code=2,
        )
    if given.online != (given.org is not None) or (given.online and not given.files):
        raise Problem("--online goes with --org, which says whom to ask, and with files.", code=2)
    return _vectors(given.vectors) if given.vectors is not None else _files(session, given.files)


# Vectors


def _vectors(name: str) -> int:
    from console.commands.output import json_text

    piped = name == "-"
    unread: list[int] = []
    for number, line in enumerate(_lines(name), 1):
        if not line.strip():
            continue
        answer, read = _answer(line, number)
        if not read:
            unread.append(number)
        sys.stdout.write(json_text(answer) + "\n")
        if piped:
            sys.stdout.flush()
    if unread:
        which = ", ".join(map(str, unread[:10])) + (", ..." if len(unread) > 10 else "")
        raise Problem(
            f"Lines that cannot be read ({which}) are answered with not_evaluated; `why` says what is wrong.",
            code=2,
        )
    return 0


def _lines(name: str) -> Iterator[bytes]:
    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError as error:
        raise Problem(f"{shown(name)} cannot be read: {error.strerror}.", code=2) from error


def _answer(line: bytes, number: int) -> tuple[dict[str, Any], bool]:
    """What is answered to a line, and whether it could be read: each line has its answer, in order."""
    from store.logic import InvalidRule, compile_rule

    answer: dict[str, Any] = {"id": None}

    def unread(why: str) -> tuple[dict[str, Any], bool]:
        return answer | {"result": "not_evaluated", "why": f"line {number} {why}"}, False

    try:
        # Not orjson: it turns integers of more than 64 bits into floats.
        vector = json.loads(line)
    except (ValueError, RecursionError):
        return unread("is not JSON, or not JSON that can be read: too deep, or a number too long")
    if isinstance(vector, dict):
        answer["id"] = vector.get("id")
    if not isinstance(vector, dict) or "rule" not in vector or "event" not in vector:
        return unread("has to be an object with `id`, `kind`, `rule` and `event`")
    kind = vector.get("kind", "dr")
    if not isinstance(kind, str) or kind not in _KINDS:
        return unread("has to have dr or fp as its `kind`")
    try:
        result = compile_rule(_condition(vector["rule"]), kind=_KINDS[kind]).evaluate(vector["event"])
    except InvalidRule as problem:
        return answer | {"result": "not_evaluated", "why": f"invalid rule: {problem}"}, True
    shown_as = "not_evaluated" if result.value is None else result.value
    return answer | {"result": shown_as, "why": result.why}, True


def _condition(rule: Any) -> Any:
    """What decides: the content of `detect`, the data of a record, or the condition itself."""
    if isinstance(rule, dict) and "op" not in rule:
        if isinstance(rule.get("data"), dict) and "detect" not in rule:
            return _condition(rule["data"])
        if "detect" in rule:
            return rule["detect"]
    return rule


# Rule files


def _files(session: Session, names: list[str]) -> int:
    paths = _with_included(_paths(names), session.arguments.root)
    rows: list[dict[str, Any]] = []
    for path, wrong in paths.items():
        rows += _tested(path)
        said = {row["why"] for row in rows}
        rows += [row for row in wrong if row["why"] not in said]
    if session.arguments.online:
        rows += template_online.validated(session, [path for name in names for path in _paths([name])])
    failed = sum(row["outcome"] in ("fail", "error", "refused") for row in rows)
    tests = sum(len(row["tests"]) for row in rows)
    if session.output in ("table", "csv"):
        shown_rows = [
            row
            | {"passed": f"{sum(one['outcome'] == 'pass' for one in row['tests'])} of {len(row['tests'])}"}
            for row in rows
        ]
        columns = ("outcome", "rule", "passed", "why", "file")
        session.show_rows(
            [{name: row[name] for name in columns} for row in shown_rows],
            columns,
            footer=f"{failed} of {len(rows)} rules failed or are refused, {tests} tests",
        )
    else:
        session.show_rows(rows)
    if failed:
        return 1
    unasked = [row for row in rows if row["outcome"] == template_online.UNASKED]
    session.say_each(f"Not asked: {row['file']}: {row['rule']}: {row['why']}" for row in unasked)
    return 3 if unasked else 0


def _with_included(paths: Iterator[Path], root: str | None) -> dict[Path, list[dict[str, Any]]]:
    """The files, and those that they include behind them, each once; with what is wrong about including."""
    from store.templates.documents import read_template

    found: dict[Path, list[dict[str, Any]]] = {}
    for path in paths:
        wrong = found.setdefault(path, [])
        if not path.is_file() or not _includes(path.read_bytes()):
            continue
        base = document_root(path, root)
        if not path.resolve().is_relative_to(base):
            raise Problem(f"{shown(str(path))} is not below {shown(str(base))}; give another --root.", code=2)
        template = read_template(base, path.resolve().relative_to(base).as_posix())
        known = {each.resolve() for each in found}
        for name in template.files:
            if (base / name).resolve() not in known:
                found[base / name] = []
        wrong += [
            _row(base / each.place.file, None, "refused", f"Line {each.place.line}: {each.text}")
            for each in template.findings
            if each.severity == "error" and each.record is None
        ]
    return found


def _includes(content: bytes) -> bool:
    """Whether a file is a document that includes others."""
    from store.yaml import YamlError, load

    try:
        loaded = load(content).value
    except YamlError:
        return False
    return isinstance(loaded, dict) and "include" in loaded and "version" in loaded


def _paths(names: list[str]) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
        else:
            yield path


def _tested(path: Path) -> list[dict[str, Any]]:
    from store.logic.documents import rules_of, run_tests
    from store.yaml import YamlError, load

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Problem(f"{shown(str(path))} cannot be read: {error.strerror}.", code=2) from error
    try:
        document = load(raw)
    except YamlError as error:
        return [_row(path, None, "refused", str(error))]
    surprises = [str(surprise) for surprise in document.surprises]
    return [_reported(path, found, run_tests(found), surprises) for found in rules_of(document.value)]


def _reported(path: Path, found: "Found", report: "Report", surprises: list[str]) -> dict[str, Any]:
    tests = [
        {"test": f"{test.list} {test.number}", "outcome": test.outcome, "why": test.why}
        for test in report.tests
    ]
    return _row(
        path, found.name, report.outcome, report.why, tests, [*report.warnings, *surprises], found.kind
    )


def _row(
    path: Path,
    name: str | None,
    outcome: str,
    why: str,
    tests: list[dict[str, Any]] | None = None,
    warnings: list[str] | None = None,
    kind: str = "",
) -> dict[str, Any]:
    return {
        "file": str(path),
        "rule": name,
        "kind": kind,
        "outcome": outcome,
        "why": why,
        "tests": tests or [],
        "warnings": warnings or [],
    }
