"""What a command is given: the arguments, the store, the cloud, and ways to answer and to ask."""

import argparse
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from console.commands.problem import Problem

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from console.limacharlie.client import Cloud
    from console.operations.ports import Progress
    from console.settings import Settings
    from store.database import Reader, Store

__all__ = ["Problem", "Session", "read_text", "safe", "shown"]

Result = TypeVar("Result")

CARRYING_ON = ("org", "sync")
"""Nouns whose commands carry on with what was begun on many organizations and cut off."""


class Session:
    """One run of one command."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self._store: Store | None = None
        self._empty: Store | None = None
        self._empty_in: TemporaryDirectory[str] | None = None
        self._progress_shown = False

    @cached_property
    def settings(self) -> "Settings":
        """The settings in force.

        Raises:
            SettingsError: one of them is not understood.
        """
        from console.settings import load

        return load(self.arguments)

    @cached_property
    def operator(self) -> str:
        """Who works here, to whom alerts are assigned: the setting `operator`, else the system's user."""
        from console.operations.actor import actor

        return self.settings.operator or actor().partition("@")[0]

    def store(self) -> "Store":
        """The environment's store, opened at the first call and made if there is none.

        Raises:
            StoreError: it cannot be opened, or its schema is not ours.
            WorkspaceError: the workspace is not this user's alone.
            Problem: as `refuse_unknown_environment`.
        """
        if self._store is None:
            from console.process import workspace
            from store.database import Store

            self.refuse_unknown_environment()
            workspace(self.settings.home)
            self._store = Store(self.settings.store_url)
        return self._store

    @property
    def reader(self) -> "Reader":
        """The half of the store that cannot write; where there is no store, none is made: nothing is in it.

        Raises:
            As `store`.
        """
        if self._store is None and self.has_no_store():
            return self._nothing().reader
        return self.store().reader

    def refuse_unknown_environment(self) -> None:
        """An environment that has neither credentials nor a store is a slip of the pen, and not an empty one.

        Raises:
            Problem: there is no such environment; exit code 2.
        """
        settings = self.settings
        if settings.environment == "default" or settings.sources["store"] != "default":
            return
        if not self.has_no_store():
            return
        from console.credentials import known

        if not known(settings):
            name = settings.environment
            raise Problem(
                f"There is no environment {name}: it has neither credentials nor a store. "
                f"`limegrove auth list` names those there are, `limegrove auth login --env {name}` makes it.",
                code=2,
            )

    def has_no_store(self) -> bool:
        """Whether the environment's store was never made."""
        from store.database import sqlite_path

        path = sqlite_path(self.settings.store_url)
        return path is not None and not path.exists() and not path.is_symlink()

    def _nothing(self) -> "Store":
        """An empty store that lasts as long as this command."""
        if self._empty is None:
            from pathlib import Path
            from tempfile import TemporaryDirectory

            from store.database import Store, sqlite_url

            self.refuse_unknown_environment()
            self._empty_in = TemporaryDirectory(prefix="limegrove-")
            self._empty = Store(sqlite_url(Path(self._empty_in.name) / "store.db"))
        return self._empty

    def close(self) -> None:
        """Give back what was opened; and say so where what was looked at was never there."""
        self.clear_progress()
        if self._empty is not None:
            if self._store is None:
                self.say(
                    f"The environment {self.settings.environment} was never synced, so nothing is known; "
                    "run `limegrove sync`."
                )
            self._empty.close()
            self._empty = None
        if self._empty_in is not None:
            self._empty_in.cleanup()
            self._empty_in = None
        if self._store is not None:
            self._store.close()
            self._store = None

    def refuse_read_only(self, what: str) -> None:
        """Call before anything is changed.

        Args:
            what: the command that would change something, such as `tree add`.

        Raises:
            Problem: the session is read-only; exit code 5.
        """
        if self.settings.read_only:
            raise Problem(
                f"`{what}` changes something, and this console is read-only; nothing was changed.", code=5
            )

    @asynccontextmanager
    async def cloud(self, *, deadlines: bool = True) -> "AsyncIterator[Cloud]":
        """LimaCharlie, as the environment's credentials see it.

        Args:
            deadlines: make what has a time that has come, first; the console does that itself.

        Raises:
            CredentialError: there are none, or they cannot be read.
            LimaCharlieError: it cannot be reached.
            Problem: the session is offline; exit code 5.
        """
        if self.settings.offline:
            raise Problem("This needs the cloud, and the session is offline; leave out --offline.", code=5)
        from console.operations.connecting import connect

        async with connect(self.settings) as cloud:
            if deadlines:
                await self._deadlines(cloud)
            yield cloud

    async def _deadlines(self, cloud: "Cloud") -> None:
        """Make what has a time that has come, such as the end of a break-glass membership.

        What it says of that is for the operator; it stops no command.
        """
        if self.settings.read_only:
            return
        import asyncio

        from store.database import sqlite_path
        from store.errors import StoreError

        try:
            path = sqlite_path(self.settings.store_url)
            if path is not None and not path.exists():
                return
            store = await asyncio.to_thread(self.store)
            if not await asyncio.to_thread(_has_a_time, store):
                return
            # Heavy, and almost never needed.
            from console.operations.accessplans import resume
            from console.operations.deadlines import due

            for made in await due(store, cloud, operator=self.operator):
                self.say(made.sentence)
            for carried in await resume(store, cloud):
                self.say(carried.sentence)
            await self._runs(store, cloud)
        except StoreError as error:
            self.say(f"What has a time could not be looked at: {error}")

    async def _runs(self, store: "Store", cloud: "Cloud") -> None:
        """Carry on with runs that were cut off; where somebody waits for something else, only say so.

        A run may take an hour, and cutting a machine off the network must not wait for it.
        """
        from console.operations import runs
        from store.times import now_ms

        if self.arguments.noun in CARRYING_ON:
            for result in await runs.resume(
                store, cloud, key=self.redaction_key,
                report=self.report,
            ):  # fmt: skip
                self.say(result.sentence)
        for sentence in runs.left_off(store, now_ms()):
            self.say(sentence)

    def redaction_key(self) -> bytes:
        """Under what secrets are fingerprinted before they reach the store: 32 bytes, kept in the keyring.

        Raises:
            CredentialError: the keyring cannot be used.
        """
        from console.operations.connecting import redaction_key

        return redaction_key(self.settings)

    def known_redaction_key(self) -> bytes | None:
        """The same, for what only looks; None where there is no credential, or nobody to ask for it."""
        from store.credentials.errors import CredentialError

        try:
            return self.redaction_key()
        except CredentialError:
            return None

    def scope(self) -> str:
        """The id of the tree node that `--scope` names; "" for all organizations.

        Raises:
            Problem: there is no such node, or several; exit code 2.
        """
        wanted: str | None = self.arguments.scope
        if wanted is None:
            return ""
        from store.queries.organizations import find_node, find_organization, find_scope
        from store.queries.scopes import UNPLACED, UNPLACED_NAME

        with self.reader.reading() as connection:
            if wanted == UNPLACED:
                return UNPLACED
            placed = find_node(connection, wanted)
            unplaced = [] if placed else find_organization(connection, wanted)
            if not unplaced and find_scope(connection, wanted) == [(UNPLACED, UNPLACED_NAME)]:
                return UNPLACED
        # An organization without a node is a scope of its own, under its oid.
        if len(unplaced) == 1:
            oid = unplaced[0][0]
            return self.node(oid, "--scope") if self._is_placed(oid) else oid
        return self.node(wanted, "--scope")

    def _is_placed(self, oid: str) -> bool:
        from store.queries.organizations import find_node

        with self.reader.reading() as connection:
            return bool(find_node(connection, oid))

    def node(self, wanted: str, what: str) -> str:
        """The id of one tree node.

        Args:
            wanted: its id, path, name or oid.
            what: how the operator's word is called in a complaint.

        Raises:
            Problem: there is no such node, or several; exit code 2.
        """
        from store.queries.organizations import find_node

        with self.reader.reading() as connection:
            found = find_node(connection, wanted)
        if not found:
            raise Problem(
                f"{what}: the tree has no node {shown(wanted)}; `limegrove tree show` lists them.", code=2
            )
        if len(found) > 1:
            named = _listed([f"{path} ({id_})" for id_, path in found])
            raise Problem(
                f"{what}: {shown(wanted)} may be any of {len(found)} nodes: {named}. Give the id.", code=2
            )
        return found[0][0]

    def scope_oids(self) -> list[str] | None:
        """The organizations below `--scope`; None when it was not given.

        Raises:
            Problem: as `scope`.
        """
        scope = self.scope()
        if not scope:
            return None
        from store.queries.organizations import organizations
        from store.times import now_ms

        with self.reader.reading() as connection:
            return [row.oid for row in organizations(connection, scope=scope, now=now_ms())]

    def organization(self, wanted: str) -> str:
        """The oid of one organization.

        Args:
            wanted: its oid, the beginning of it, or its name.

        Raises:
            Problem: there is no such organization, or several, or `--scope` is nowhere; exit code 2.
        """
        from store.queries.organizations import find_organization

        self.scope()
        with self.reader.reading() as connection:
            found = find_organization(connection, wanted)
        if not found:
            raise Problem(
                f"There is no organization {shown(wanted)} in the store; `limegrove org list` names them, "
                "`limegrove sync` reads new ones.",
                code=2,
            )
        if len(found) > 1:
            named = _listed([f"{name} ({oid})" for oid, name in found])
            raise Problem(
                f"{shown(wanted)} may be any of {len(found)} organizations: {named}. Give the oid.", code=2
            )
        return found[0][0]

    @property
    def output(self) -> str:
        """How to print: of `console.commands.parser.OUTPUTS`."""
        chosen: str | None = self.arguments.output or self.settings.output
        return chosen or ("table" if sys.stdout.isatty() else "json")

    def show_rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, footer: str = ""
    ) -> None:
        """Print a list.

        Args:
            rows: what JSON prints, exactly. CSV has the keys of the first row.
            columns: keys shown in a table; all keys of the first row by default.
            footer: said on standard error below a table, such as "3 of 5 organizations".
        """
        from console.commands.output import write_rows

        self.clear_progress()
        write_rows(rows, columns, self.output)
        if footer and self.output == "table":
            self.say(footer)

    def show_object(
        self,
        thing: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]] | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        """Print one thing.

        Args:
            thing: what JSON and YAML print, exactly.
            rows: what a table and CSV print instead, where the thing is at heart a list.
            columns: as in `show_rows`.
        """
        from console.commands.output import write_object, write_rows

        self.clear_progress()
        if rows is not None and self.output in ("table", "csv"):
            write_rows(rows, columns, self.output)
        else:
            write_object(thing, self.output)

    def say(self, text: str) -> None:
        """One line for the operator, on standard error; it may hold a stranger's text."""
        self.clear_progress()
        print(safe(text), file=sys.stderr, flush=True)

    def say_each(self, lines: Iterable[str], *, most: int = 20, where: str = "") -> None:
        """Name what failed or is missing: a line for each, and how many more there are.

        Args:
            most: lines at most.
            where: what names them all, such as `limegrove org runs 12`.
        """
        listed = list(lines)
        for text in listed[:most]:
            self.say(text)
        if len(listed) > most:
            self.say(
                f"... and {len(listed) - most:,} more" + (f"; {where} names them all." if where else ".")
            )

    def progress(self, text: str) -> None:
        """How far something has come: one line that overwrites the last one, on a terminal only."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{safe(text)[: _columns() - 1]}")
            sys.stderr.flush()
            self._progress_shown = True

    def report(self, told: "Progress") -> None:
        """`progress` of an operation that says how far it has come: `3 of 1,200 organizations`."""
        self.progress(f"{told.done:,} of {told.total:,} {told.note}")

    def clear_progress(self) -> None:
        """Take the line of `progress` away."""
        if self._progress_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._progress_shown = False

    def refuse_unnamed(self, oids: Collection[str]) -> None:
        """Have the name of every protected organization among some, or its oid, in `--confirm`.

        Raises:
            Problem: one is missing; exit code 5.
        """
        from store.queries.scopes import marked
        from store.typednames import is_named

        with self.reader.reading() as connection:
            protected = marked(connection, "protected", oids)
        missing = [
            name
            for oid, name in sorted(protected.items())
            if not any(is_named(typed, name, oid) for typed in self.arguments.confirm)
        ]
        if missing:
            named = ", ".join(shown(name) for name in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise Problem(
                f"{named}{more}: protected; give the name of each, or its oid, with --confirm. Nothing was "
                "changed.",
                code=5,
            )

    def ask(self, question: str) -> bool:
        """Put a yes-or-no question to the operator; no is the default.

        Args:
            question: a sentence that ends in a question mark.

        Raises:
            Problem: nobody is there to answer, and `--yes` was not given; exit code 5.
        """
        if self.arguments.yes:
            return True
        self.clear_progress()
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Problem(f"{safe(question)} Nobody is here to answer; --yes answers yes.", code=5)
        print(f"{safe(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().casefold() in ("y", "yes")

    async def asking(self, question: str) -> bool:
        """`ask`, in the shape that operations take (`console.operations.ports.Ask`)."""
        import asyncio

        return await asyncio.to_thread(self.ask, question)

    def run(self, operation: Coroutine[Any, Any, Result]) -> Result:
        """Run an asynchronous operation to its end."""
        import asyncio

        return asyncio.run(operation)


def _has_a_time(store: "Store") -> bool:
    """Whether a deadline is open, or a plan or a run was cut off."""
    from store.deadlines import waiting
    from store.planwork import applying
    from store.runs import HOLDING

    with store.reader.reading() as connection:
        return bool(waiting(connection) or applying(connection) or HOLDING.running(connection))


def read_text(most: int) -> str:
    """What standard input holds, as a text.

    Args:
        most: bytes; more is refused, so that nothing is cut off without a word.

    Raises:
        Problem: it is no text, or too long; exit code 2.
    """
    raw = sys.stdin.buffer.read(most + 1)
    if len(raw) > most:
        raise Problem(f"Standard input is longer than {most:,} bytes; nothing was done.", code=2)
    if b"\0" in raw:
        raise Problem(f"Standard input is no text: byte {raw.index(0) + 1} is NUL. Nothing was done.", code=2)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(
            f"Standard input is no text: byte {error.start + 1} is not UTF-8. Nothing was done.", code=2
        ) from None


def shown(word: str) -> str:
    """An operator's word in a complaint: quoted, and safe to print."""
    return f"`{safe(word)}`"


def safe(text: str) -> str:
    """`store.text.safe_text`, at a length that keeps whole sentences."""
    from store.text import safe_text

    return safe_text(text)


def _listed(candidates: Sequence[str], most: int = 5) -> str:
    named = ", ".join(safe(candidate) for candidate in candidates[:most])
    return named if len(candidates) <= most else f"{named}, and {len(candidates) - most} more"


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
