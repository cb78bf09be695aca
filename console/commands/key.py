"""`limegrove key`: API keys of every organization, made from recipes, handed over once, rotated, revoked."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from console.operations.keys import Made, Rotated
    from store.keyrecipes import KeyWanted, Recipe
    from store.queries.apikeys import KeyRow

_COLUMNS = ("name", "organization", "may", "from", "last_used", "first_seen", "created_by", "remark")
_NAMED = 3
"""Organizations that a question names before it counts the rest."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `key`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list",
        help="the keys of every organization",
        description="Filter: words, and name: org: by: perm: privileged:yes range:none used:never used:>90d "
        "flair: held:no (nobody was given its secret) ending:yes (a rotation deletes it).",
    )
    listing.add_argument("--org", metavar="OID|NAME", help="of one organization")
    listing.add_argument("--filter", metavar="LINE", default="", help="which of them")

    recipes = verbs.add_parser(
        "recipes", help="what keys are made from, and what is wrong with your own file"
    )
    recipes.add_argument("--file", metavar="FILE", help="another file than the workspace's")

    def handed_over(verb: argparse.ArgumentParser) -> None:
        ways = verb.add_mutually_exclusive_group()
        ways.add_argument(
            "--to-hive", metavar="NAME", help="write the secret into the organization's secret hive, as NAME"
        )
        ways.add_argument(
            "--show-secret", action="store_true", help="print the secret on standard output, with the rest"
        )
        verb.add_argument(
            "--confirm",
            metavar="NAME",
            default="",
            help="the name or oid of a protected organization, or how many",
        )
        verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the journal")

    create = verbs.add_parser(
        "create",
        help="make a key from a recipe or of permissions, usable from a range of addresses",
        description="On a terminal the secret is shown once, on a screen of its own. It is stored nowhere. "
        "Over a scope each organization gets its own key, and its secret straight into its secret hive. The "
        "range is the recipe's, the tree's parameter key_range, or the setting key_range, in this order.",
    )
    create.add_argument("name", metavar="NAME", help="such as ticket-bot or deploy[bulk]")
    create.add_argument("--recipe", metavar="RECIPE", help="`key recipes` lists them")
    create.add_argument(
        "--permission", metavar="P", action="append", default=[], help="one permission; once for each"
    )
    create.add_argument("--org", metavar="OID|NAME", help="where; or --scope")
    where = create.add_mutually_exclusive_group()
    where.add_argument("--range", dest="allowed", metavar="CIDR", default="", help="from where it is used")
    where.add_argument("--anywhere", action="store_true", help="go without a range: it works from everywhere")
    create.add_argument(
        "--privileged", action="store_true", help="it may have apikey.ctrl, user.ctrl or billing.ctrl"
    )
    create.add_argument("--overwrite", action="store_true", help="the secret may be there, and is replaced")
    handed_over(create)

    rotate = verbs.add_parser(
        "rotate",
        help="make the same key anew; the old one goes after a while",
        description="The new key has the same name, permissions and range. The old one is deleted when the "
        "overlap is over, by whichever console, watcher or command connects then.",
    )
    rotate.add_argument("key", metavar="KEY", nargs="?", help="its hash or name; or --filter")
    rotate.add_argument("--org", metavar="OID|NAME", help="of which organization")
    rotate.add_argument("--filter", metavar="LINE", help="every key that it leaves; needs --to-hive")
    rotate.add_argument(
        "--overlap", metavar="TIME", default="24h", help="how long the old one stays good (24h); 0 for not"
    )
    rotate.add_argument("--range", dest="allowed", metavar="CIDR", help="another range for the new key")
    handed_over(rotate)

    revoke = verbs.add_parser("revoke", help="delete keys, by a plan that says what each came to")
    revoke.add_argument("keys", metavar="KEY", nargs="*", help="hashes or names of an organization's keys")
    revoke.add_argument("--org", metavar="OID|NAME", help="of which organization")
    revoke.add_argument("--filter", metavar="LINE", help="every key of the scope that it leaves")
    revoke.add_argument("--dry-run", action="store_true", help="say which ones, and stop; exit code 4 if any")
    revoke.add_argument(
        "--confirm",
        metavar="NAME",
        default="",
        help="the name or oid of a protected organization, or how many",
    )
    revoke.add_argument("--reason", metavar="TEXT", default="", help="why, for plan and journal")


def run(session: Session) -> int:
    """List, make, rotate or revoke keys."""
    verb: str = session.arguments.verb
    if verb in ("create", "rotate") or (verb == "revoke" and not session.arguments.dry_run):
        session.refuse_read_only(f"key {verb}")
    verbs = {"list": _list, "recipes": _recipes, "create": _create, "rotate": _rotate, "revoke": _revoke}
    return verbs[verb](session)


# What there is


def _list(session: Session) -> int:
    from store.access import counted
    from store.queries.apikeys import counts, every

    wanted, scope = _wanted(session, session.arguments.filter)
    with session.reader.reading() as connection:
        rows = every(connection, wanted, scope=scope)
        known = counts(connection, wanted, scope=scope)
    read = f"keys read of {known.read:,} of {known.of:,} organizations"
    found = f"{known.keys:,} of {known.all:,} keys, {counted(known.organizations, 'organization')}"
    _show(session, rows, f"{found}; {read}")
    return 0


def _wanted(session: Session, line: str) -> Any:
    """(filter, scope), of `--filter`, `--org` and `--scope`.

    Raises:
        Problem: one of them means nothing; exit code 2.
    """
    from dataclasses import replace

    from store.alerts import FilterError
    from store.keyfilter import parse
    from store.times import now_ms

    try:
        wanted = parse(line, now=now_ms())
    except FilterError as error:
        raise Problem(f"--filter: {error}", code=2) from error
    if session.arguments.org:
        wanted = replace(wanted, oid=session.organization(session.arguments.org))
    return wanted, session.scope()


def listed(row: "KeyRow") -> dict[str, Any]:
    """A key as `key list` prints it."""
    from store.times import rfc3339

    return {
        "oid": row.oid,
        "organization": row.organization,
        "key_hash": row.key_hash,
        "name": row.name,
        "permissions": list(row.permissions),
        "privileged": list(row.privileged),
        "allowed_ip_range": row.allowed_ip_range or None,
        "created_by": row.created_by,
        "last_used": rfc3339(row.last_used or None),
        "first_seen": rfc3339(row.first_seen),
        "held": row.held,
        "ends_at": rfc3339(row.ends_at),
    }


def _show(session: Session, rows: "Sequence[KeyRow]", footer: str = "") -> None:
    """Print keys: exactly as JSON, in few words as a table."""
    from store.times import rfc3339

    if session.output != "table":
        session.show_rows([listed(row) for row in rows])
        return
    lines = []
    for row in rows:
        remarks = [] if row.held else ["nobody has its secret"]
        if row.ends_at is not None:
            remarks.append(f"ends {rfc3339(row.ends_at)}")
        more = {
            "may": f"{len(row.permissions)}{'!' if row.privileged else ''}",
            "from": row.allowed_ip_range or "EVERYWHERE",
            "remark": "; ".join(remarks),
        }
        lines.append(listed(row) | more)
    session.show_rows(lines, columns=_COLUMNS, footer=footer)


def _recipes(session: Session) -> int:
    from pathlib import Path

    from console.operations.keys import Refused, own_recipes
    from store.keyrecipes import recipes

    given: str | None = session.arguments.file
    file = Path(given) if given else session.settings.recipes
    if given and not file.exists():
        raise Problem(f"{shown(given)} cannot be read: there is no such file.", code=2)
    try:
        own, problems = own_recipes(file)
    except Refused as error:
        raise Problem(str(error)) from error
    session.show_rows(
        [
            {
                "name": each.name,
                "own": each.own,
                "says": each.says,
                "permissions": list(each.permissions),
                "allowed_ip_range": each.allowed_ip_range or None,
            }
            for each in recipes(own).values()
        ],
        columns=("name", "own", "says", "permissions"),
    )
    for problem in problems:
        session.say(f"{file}: {problem}")
    return 1 if problems else 0


# Making


def _recipe(session: Session) -> "Recipe | None":
    from console.operations.keys import Refused, own_recipes
    from store.keyrecipes import recipes

    name: str | None = session.arguments.recipe
    if name is None:
        return None
    try:
        own, problems = own_recipes(session.settings.recipes)
    except Refused as error:
        raise Problem(str(error)) from error
    known = recipes(own)
    if name not in known:
        wrong = f" {len(problems)} lines of your own file are wrong: `key recipes`." if problems else ""
        raise Problem(f"There is no recipe {shown(name)}; there are {', '.join(known)}.{wrong}", code=2)
    return known[name]


def _each_wanted(session: Session, oids: Sequence[str]) -> "dict[str, KeyWanted]":
    """What is asked for, by oid; nothing was sent.

    Raises:
        Problem: it cannot be made like this; exit code 2.
    """
    from console.operations.keys import range_of
    from store.keyrecipes import KeyProblem, wanted

    given = session.arguments
    recipe = _recipe(session)
    asked = given.allowed
    if not (asked or given.anywhere or (recipe and recipe.allowed_ip_range)):
        with session.reader.reading() as connection:
            try:
                ranges = {oid: range_of(connection, oid, session.settings.key_range) for oid in oids}
            except KeyProblem as error:
                raise Problem(f"{error} Nothing was sent.", code=2) from error
        if not all(ranges.values()):
            asked = _ask_range(session)
            ranges = {oid: each or asked for oid, each in ranges.items()}
    else:
        ranges = dict.fromkeys(oids, asked)
    try:
        return {
            oid: wanted(
                given.name, recipe=recipe, permissions=given.permission, allowed_ip_range=ranges[oid],
                anywhere=given.anywhere, privileged=given.privileged,
            )
            for oid in oids
        }  # fmt: skip
    except KeyProblem as error:
        raise Problem(f"{error} Nothing was sent.", code=2) from error


def _ask_range(session: Session) -> str:
    if not _terminal():
        raise Problem(
            "A key needs an address range: --range CIDR, the setting key_range, or the tree's parameter "
            "key_range; --anywhere goes without. Nothing was sent.",
            code=2,
        )
    session.clear_progress()
    print("From which addresses is it used (CIDR)? ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _create(session: Session) -> int:
    from console.operations.keys import create_many

    given = session.arguments
    if given.org and given.scope:
        raise Problem("`key create` makes a key in one --org or in each of a --scope, not both.", code=2)
    if given.org:
        oids = [session.organization(given.org)]
    elif given.scope:
        oids = session.scope_oids() or []
        if not given.to_hive:
            raise Problem(
                "Over a scope each secret goes straight to its organization: `key create` needs --to-hive.",
                code=2,
            )
    else:
        raise Problem("`key create` needs --org, or --scope with --to-hive; see its --help.", code=2)
    if not oids:
        raise Problem("There is no organization in this scope; nothing was made.", code=2)
    _can_be_handed_over(session, "create")
    wanted = _each_wanted(session, oids)
    for note in next(iter(wanted.values())).notes:
        session.say(note)
    names = _organizations(session, oids)
    confirm = given.confirm or _typed(session, oids)
    if given.org:
        return _create_one(session, oids[0], wanted[oids[0]], confirm)
    if not session.ask(f"Make a key {given.name} in {_of(names)}?"):
        raise Problem("Nothing was made.", code=5)

    async def do(cloud: "Cloud") -> "list[Made]":
        return await create_many(
            wanted, to_hive=given.to_hive, store=session.store(), cloud=cloud, operator=_operator(session),
            confirm=confirm, overwrite=given.overwrite, reason=given.reason,
            report=lambda progress: session.progress(f"{progress.done:,} of {progress.total:,} keys"),
        )  # fmt: skip

    found: list[Made] = _connected(session, do)
    session.show_rows(
        [_made(each) for each in found],
        columns=("organization", "name", "outcome", "key_hash", "said"),
        footer=f"{sum(each.good for each in found):,} of {len(found):,} organizations",
    )
    for each in found:
        if not each.good:
            session.say(each.sentence)
        for note in each.notes:
            if note not in wanted[each.oid].notes:
                session.say(f"{each.organization}: {note}")
    return _code([each.good for each in found], refused=all(each.outcome == "refused" for each in found))


def _create_one(session: Session, oid: str, wanted: "KeyWanted", confirm: str) -> int:
    from console.operations.keys import create

    given = session.arguments

    async def do(cloud: "Cloud") -> int:
        made = await create(
            oid, wanted, store=session.store(), cloud=cloud, operator=_operator(session), confirm=confirm,
            to_hive=given.to_hive or "", overwrite=given.overwrite, reason=given.reason,
        )  # fmt: skip
        _say(session, made, already=wanted.notes)
        if made.secret is not None:
            made, held = await _hand_over(session, made)
            if held:
                await _delivered(session, made, held)
            else:
                await _offer_deletion(session, cloud, made)
        elif made.orphaned:
            await _offer_deletion(session, cloud, made)
        if not given.show_secret or made.secret is None:
            session.show_object(_made(made))
        differs = len(made.notes) > len(wanted.notes)
        return _code_of(made) or (3 if differs else 0)

    code: int = _connected(session, do)
    return code


def _say(session: Session, made: "Made", already: Sequence[str] = ()) -> None:
    session.say(made.sentence)
    for note in made.notes:
        if note not in already:
            session.say(note)


async def _hand_over(session: Session, made: "Made") -> "tuple[Made, str]":
    """Give the secret to whoever asked for it; how, or "" when nobody has it now."""
    from dataclasses import replace

    assert made.secret is not None  # noqa: S101  (asked by the callers)
    if session.arguments.show_secret:
        session.show_object(_made(made) | {"secret": made.secret.reveal()})
        sys.stdout.flush()
        return made, "stdout"
    if _terminal() and _show_once(made):
        return replace(made, outcome="created", secret=None), "shown"
    return replace(made, outcome="unheld", secret=None), ""


def _show_once(made: "Made") -> bool:
    """Show the secret on a screen of its own, which leaves nothing behind; whether the operator has it."""
    assert made.secret is not None  # noqa: S101  (asked by the caller)
    try:
        terminal = open("/dev/tty", "r+b", buffering=0)  # noqa: SIM115  (closed below)
    except OSError:
        return False
    head = safe(f"The secret of the new key {made.name} of {made.organization}")
    text = (
        f"{head}\n\nIt is shown this once, it is stored nowhere, and it cannot be had again.\n\n"
        f"    {made.secret.reveal()}\n\n"
        "Type yes and enter when you have it. Anything else: nobody has it.\n> "
    )
    with terminal:
        try:
            # The alternate screen has no history, and what was on it is gone when it is left.
            terminal.write(b"\x1b[?1049h\x1b[2J\x1b[H" + text.replace("\n", "\r\n").encode())
            answer = terminal.readline()
        finally:
            terminal.write(b"\x1b[2J\x1b[H\x1b[?1049l")
    return answer.strip().lower() in (b"yes", b"y")


async def _delivered(session: Session, made: "Made", how: str) -> None:
    from console.operations.keys import delivered
    from store.errors import StoreError

    try:
        await delivered(made, how, store=session.store(), operator=_operator(session))
    except StoreError as error:
        session.say(f"That it was handed over could not be written down: {error}")


async def _offer_deletion(session: Session, cloud: "Cloud", made: "Made") -> None:
    """A key whose secret nobody holds is of no use, and is deleted if somebody says so."""
    from console.operations import accessplans
    from console.operations.keys import revocation, revoke
    from store.accessplans import PlanError

    where = f"limegrove key revoke {made.key_hash} --org {made.oid}"
    if not _terminal() and not session.arguments.yes:
        session.say(f"Nobody has its secret. Delete it: {where}")
        return
    if not session.ask(f"Nobody has the secret of {made.name} of {made.organization}. Delete the key?"):
        session.say(f"It stays, and nobody has its secret. Delete it: {where}")
        return
    store, operator = session.store(), _operator(session)
    try:
        plan = revocation([made], store=store, operator=operator, reason="nobody has its secret")
        done = await revoke(plan, store=store, cloud=cloud, operator=operator, confirm=accessplans.CONFIRMED)
    except (accessplans.Refused, PlanError) as error:
        session.say(f"It was not deleted: {error} Delete it: {where}")
        return
    session.say(done.sentence)


# Rotating


def _rotate(session: Session) -> int:
    from console.operations import keys
    from store.keyrecipes import KeyProblem, check_range
    from store.times import parse_duration

    given = session.arguments
    try:
        overlap = 0 if given.overlap.strip() == "0" else parse_duration(given.overlap) * 1000
        allowed = None if given.allowed is None else check_range(given.allowed)
    except KeyProblem as error:
        raise Problem(f"--range: {error} Nothing was sent.", code=2) from error
    except ValueError as error:
        raise Problem(f"--overlap {shown(given.overlap)}: {error}", code=2) from error
    rows = _chosen(session, [given.key] if given.key else [], "rotate")
    if len(rows) > 1 and not given.to_hive:
        raise Problem(
            f"{len(rows):,} keys are meant; several are rotated with --to-hive NAME only. Nothing was sent.",
            code=2,
        )
    _can_be_handed_over(session, "rotate")
    oids = sorted({row.oid for row in rows})
    confirm = given.confirm or _typed(session, oids)
    if len(rows) > 1 and not session.ask(f"Rotate {_these(rows)}?"):
        raise Problem("Nothing was rotated.", code=5)
    _check_confirm(session, oids, confirm)

    async def do(cloud: "Cloud") -> "list[Rotated]":
        found: list[Rotated] = []
        for row in rows:
            session.progress(f"{len(found):,} of {len(rows):,} keys")
            found.append(await one(cloud, row))
        return found

    async def one(cloud: "Cloud", row: "KeyRow") -> "Rotated":
        from console.limacharlie.errors import LimaCharlieError
        from store.errors import StoreError

        store, operator = session.store(), _operator(session)
        try:
            rotated = await keys.rotate(
                row.oid, str(row.key_hash), store=store, cloud=cloud, operator=operator, overlap=overlap,
                confirm=row.oid, to_hive=given.to_hive or "", allowed_ip_range=allowed, reason=given.reason,
            )  # fmt: skip
        except (keys.Refused, LimaCharlieError, StoreError) as error:
            if len(rows) == 1:
                raise
            refused = keys.Made(row.oid, safe(row.organization), str(row.name), "refused", str(error))
            return keys.Rotated(refused, str(row.key_hash), sentence=str(error))
        made = rotated.made
        _say(session, made)
        if made.secret is not None:
            made, how = await _hand_over(session, made)
            rotated = keys.Rotated(made, rotated.old, sentence=made.sentence)
            if how:
                rotated = await keys.settle(
                    rotated, store=store, cloud=cloud, operator=operator, how=how, overlap=overlap
                )
                session.say(rotated.sentence)
            else:
                await _offer_deletion(session, cloud, made)
        elif made.orphaned:
            await _offer_deletion(session, cloud, made)
        elif len(rows) == 1:
            session.say(rotated.sentence)
        return rotated

    found: list[Rotated] = _connected(session, do)
    if len(found) == 1:
        if not given.show_secret or found[0].made.secret is None:
            session.show_object(_rotated(found[0]))
        return _code_of(found[0].made) or (0 if found[0].ends_at is not None else 1)
    session.show_rows(
        [_rotated(each) for each in found],
        columns=("organization", "name", "outcome", "old_ends_at", "said"),
        footer=f"{sum(each.ends_at is not None for each in found):,} of {len(found):,} keys",
    )
    return _code([each.ends_at is not None for each in found])


def _rotated(rotated: "Rotated") -> dict[str, Any]:
    from store.times import rfc3339

    return _made(rotated.made) | {
        "old_key_hash": rotated.old,
        "old_ends_at": rfc3339(rotated.ends_at),
        "said": rotated.sentence,
    }


# Revoking


def _revoke(session: Session) -> int:
    from console.operations import accessplans, keys
    from store.accessplans import PlanError
    from store.queries.apikeys import left_alone

    given = session.arguments
    rows = _chosen(session, given.keys, "revoke")
    oids = sorted({row.oid for row in rows})
    if given.dry_run:
        _show(session, rows)
        session.say(f"{_these(rows)} would be revoked; nothing was sent.")
        return 4
    for row in rows[:_NAMED]:
        session.say(f"{row.name} of {row.organization}: {_use(row)}")
    if len(rows) > _NAMED:
        session.say(f"... and {len(rows) - _NAMED:,} more; --dry-run names them all")
    with session.reader.reading() as connection:
        lonely = left_alone(connection, rows)
    for row in lonely:
        session.say(_goes_too(row))
    confirm = given.confirm or _typed(session, oids)
    _check_confirm(session, oids, confirm)
    if not session.ask(f"Revoke {_these(rows)}? {keys.TOKENS}"):
        raise Problem("Nothing was revoked.", code=5)
    try:
        plan = keys.revocation(rows, store=session.store(), operator=_operator(session), reason=given.reason)
    except PlanError as error:
        raise Problem(str(error)) from error

    async def do(cloud: "Cloud") -> accessplans.Outcome:
        return await keys.revoke(
            plan, store=session.store(), cloud=cloud, operator=_operator(session), confirm=confirm,
            report=lambda progress: session.progress(f"{progress.done:,} of {progress.total:,} keys"),
        )  # fmt: skip

    done: accessplans.Outcome = _connected(session, do)
    by_key = {(str(row.oid), str(row.key_hash)): row for row in rows}
    results = [
        {
            "oid": step.change.oid,
            "organization": by_key[step.change.oid, step.change.principal].organization,
            "name": by_key[step.change.oid, step.change.principal].name,
            "key_hash": step.change.principal,
            "outcome": step.outcome,
            "why": step.error,
        }
        for step in done.steps
    ]
    session.show_object(
        {
            "plan": done.plan_id,
            "state": done.state,
            "counts": done.counts,
            "said": done.sentence,
            "keys": results,
        },
        rows=results,
        columns=("name", "organization", "outcome", "why"),
    )
    session.say(done.sentence)
    if not done.whole and done.state == "applying":
        session.say(f"`limegrove access apply {done.plan_id}` carries on where it was cut off.")
    return _code(
        [step.outcome in ("done", "already", "gone") for step in done.steps],
        refused=bool(done.steps) and all(step.outcome == "denied" for step in done.steps),
    )


def _goes_too(row: "KeyRow") -> str:
    from store.times import rfc3339

    return (
        f"The older key {row.name} of {row.organization} was rotated, and goes at {rfc3339(row.ends_at)}: "
        "none of this name is left then."
    )


def _use(row: "KeyRow") -> str:
    from store.times import rfc3339

    used = f"last used {rfc3339(row.last_used)}" if row.last_used else "never used"
    return f"{len(row.permissions)} permissions, from {row.allowed_ip_range or 'everywhere'}, {used}"


def _chosen(session: Session, words: Sequence[str], verb: str) -> "list[KeyRow]":
    """The keys that are meant.

    Raises:
        Problem: none or too many are; exit code 2.
    """
    from store.queries.apikeys import every, find

    given = session.arguments
    if bool(words) == (given.filter is not None):
        raise Problem(f"`key {verb}` needs keys with --org, or --filter LINE, and not both.", code=2)
    if words:
        if not given.org:
            raise Problem(f"`key {verb}` needs the organization of these keys: --org OID|NAME.", code=2)
        oid = session.organization(given.org)
        rows: dict[str, KeyRow] = {}
        with session.reader.reading() as connection:
            for word in words:
                found = find(connection, oid, word)
                if len(found) != 1:
                    raise Problem(_not_one(word, found), code=2)
                rows[str(found[0].key_hash)] = found[0]
        return list(rows.values())
    wanted, scope = _wanted(session, given.filter)
    with session.reader.reading() as connection:
        chosen = every(connection, wanted, scope=scope)
    if not chosen:
        raise Problem(f"No key is left by this filter; nothing was to {verb}.", code=2)
    return chosen


def _not_one(word: str, found: "Sequence[KeyRow]") -> str:
    if not found:
        return f"This organization has no key {shown(word)} in the store; `limegrove key list` names them."
    hashes = ", ".join(safe(row.key_hash[:16]) for row in found[:4])
    return f"{len(found)} keys are called {shown(word)}; give the hash instead: {hashes}."


# What the verbs share


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _can_be_handed_over(session: Session, verb: str) -> None:
    """A key is not made when nobody could be given its secret.

    Raises:
        Problem: exit code 2.
    """
    from store.keyrecipes import hive_name_problem

    given = session.arguments
    if given.to_hive is not None:
        if problem := hive_name_problem(given.to_hive):
            raise Problem(f"--to-hive: {problem}", code=2)
    elif not given.show_secret and not _terminal():
        raise Problem(
            f"`key {verb}` shows the secret once, on a terminal, and here is none: --to-hive NAME writes it "
            "into the organization's secret hive, --show-secret prints it. Nothing was sent.",
            code=2,
        )


def _organizations(session: Session, oids: Sequence[str]) -> list[str]:
    from store.queries.queue import names_of

    with session.reader.reading() as connection:
        names = names_of(connection, oids)
    return sorted((safe(names.get(oid, oid)) for oid in oids), key=str.casefold)


def _of(names: Sequence[str]) -> str:
    """`3 organizations: A, B, C`; more are counted."""
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} organizations: {', '.join(names[:_NAMED])}{more}"


def _these(rows: "Sequence[KeyRow]") -> str:
    names = sorted({safe(row.organization) for row in rows}, key=str.casefold)
    if len(rows) == 1:
        return f"the key {safe(rows[0].name)} of {names[0]}"
    return f"{len(rows):,} keys of {_of(names)}"


def _typed(session: Session, oids: Sequence[str]) -> str:
    """What the operator types for protected organizations; "" when none is.

    Raises:
        Problem: nobody is there to type; exit code 5.
    """
    from store.accessplans import or_id, phrase, protected

    with session.reader.reading() as connection:
        held = protected(connection, oids)
    if not held:
        return ""
    if not _terminal():
        raise Problem(
            f"Protected: {', '.join(safe(name) for _, name in held[:_NAMED])}. --confirm has to say "
            f"{shown(phrase(held))}{or_id(held)}. Nothing was sent.",
            code=5,
        )
    session.clear_progress()
    print(f"Protected. Type {phrase(held)}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _check_confirm(session: Session, oids: Sequence[str], typed: str) -> None:
    from store.accessplans import confirmed, or_id, phrase, protected

    with session.reader.reading() as connection:
        held = protected(connection, oids)
    if not confirmed(held, typed):
        raise Problem(
            f"Protected: {shown(phrase(held))}{or_id(held)} has to be typed. Nothing was sent.", code=5
        )


def _operator(session: Session) -> str:

    return session.operator


def _made(made: "Made") -> dict[str, Any]:
    """What became of a key, never its secret."""
    return {
        "oid": made.oid,
        "organization": made.organization,
        "name": made.name,
        "outcome": made.outcome,
        "key_hash": made.key_hash or None,
        "permissions": list(made.permissions),
        "allowed_ip_range": made.allowed_ip_range or None,
        "hive": made.hive or None,
        "notes": list(made.notes),
        "said": made.sentence,
    }


def _code_of(made: "Made") -> int:
    if made.good:
        return 0
    return 5 if made.outcome in ("denied", "refused") else 1


def _code(good: Sequence[bool], *, refused: bool = False) -> int:
    """0 when all are, 3 when some are; else 5 where each was refused, and 1."""
    if all(good):
        return 0
    return 3 if any(good) else 5 if refused else 1


def _connected(session: Session, do: Any) -> Any:
    """Do it with the cloud.

    Raises:
        Problem: it was refused; exit code 5.
    """
    from console.limacharlie.errors import Denied
    from console.operations import accessplans
    from console.operations.keys import Refused

    async def connected() -> Any:
        async with session.cloud() as cloud:
            return await do(cloud)

    try:
        return session.run(connected())
    except (Refused, Denied, accessplans.Refused) as error:
        raise Problem(str(error), code=5) from error
