"""A store with the access of ten thousand organizations, built once by bulk load and kept between runs.

Five hundred people, 150 permissions and fifty groups that hold a fifth of the organizations each and have
forty members; fifty thousand direct grants, and two API keys of every organization. A hundred thousand grants
more, memberships, groups' organizations and keys, were there for some time of the last four hundred days.
"""

import json
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kept import kept

ORGANIZATIONS = 10_000
PRINCIPALS = 500
PERMISSIONS = 150
GROUPS = 50
MEMBERS = 40
SEED = 20_261_128
DAY = 86_400_000
FORMER = 10
"""Changes of access an organization, over `DAYS` days."""
DAYS = 400
VERSION = 4
"""Of what is built here: one more whenever it changes."""


@dataclass(frozen=True)
class Held:
    """The fixture."""

    path: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"sqlite:///{self.path}"

    @property
    def joins(self) -> Path:
        """The same world, a row for each thing and numbers for names: what SQL joins best."""
        return self.path.with_name("joins.db")


def held() -> Held:
    """The fixture, made if it is not there yet (some seconds)."""
    of = (VERSION, ORGANIZATIONS, PRINCIPALS, PERMISSIONS, GROUPS, MEMBERS, SEED)
    path, _ = kept(f"access-{ORGANIZATIONS}", of, _build_both)
    return Held(path)


def oid_of(number: int) -> str:
    """An organization's id."""
    return f"{number:08x}-0000-4000-8000-{number * 2_654_435_761 % 2**48:012x}"


def email_of(number: int) -> str:
    """A person's address."""
    return f"person-{number:03}@{'provider' if number % 5 else f'customer-{number}'}.example"


def gid_of(number: int) -> str:
    """A group's id."""
    return f"{number:08x}-1111-4000-8000-000000000000"


def permissions() -> list[str]:
    """The catalogue, and what it takes to be 150."""
    from store.permissions import catalogue

    names = [each.name for each in catalogue() if not each.doubtful]
    return (names + [f"secret.get.record-{number}" for number in range(PERMISSIONS)])[:PERMISSIONS]


def tables() -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
    """(table, rows) of everything but the tree."""
    chance = random.Random(SEED)
    now = time.time_ns() // 1_000_000
    names = permissions()
    people = [email_of(number) for number in range(PRINCIPALS)]
    oids = [oid_of(number) for number in range(ORGANIZATIONS)]

    def some(share: float) -> str:
        return json.dumps(sorted(name for name in names if chance.random() < share))

    yield (
        "organization",
        [
            {"oid": oid, "name": f"Customer {number:05}", "region": "eu", "status": "", "details": "{}", "first_seen": now}
            for number, oid in enumerate(oids)
        ],
    )  # fmt: skip
    yield (
        "user_account",
        [{"email": email, "uid": "", "mfa": 1, "mfa_types": "[]", "first_seen": now} for email in people],
    )
    yield (
        "organization_group",
        [
            {
                "gid": gid_of(number), "name": f"Group {number:02}", "permissions": some(0.3), "complete": 1,
                "first_seen": now,
            }
            for number in range(GROUPS)
        ],
    )  # fmt: skip
    yield (
        "group_member",
        [
            {"gid": gid_of(number), "email": email, "owner": owner}
            for number in range(GROUPS)
            for owner, many in ((0, MEMBERS), (1, 2))
            for email in chance.sample(people, many)
        ],
    )
    yield (
        "group_organization",
        [
            {"gid": gid_of(number), "oid": oid}
            for number in range(GROUPS)
            for oid in chance.sample(oids, int(ORGANIZATIONS * 0.2222))
        ],
    )
    granted = [some(0.2) for _ in range(2_000)]
    yield (
        "direct_permission",
        [
            {"oid": oid, "email": email, "permissions": chance.choice(granted)}
            for oid in oids
            for email in chance.sample(people, 5)
        ],
    )
    yield (
        "sync_state",
        [
            {
                "oid": oid, "subject": subject, "checked_at": now, "attempted_at": now, "cursor": "", "fingerprint": "", "failure": "",
                "reason": "",
            }
            for oid in oids
            for subject in ("access", "keys")
        ],
    )  # fmt: skip
    held_by_keys = [some(0.1) for _ in range(200)]
    yield (
        "api_key",
        [
            {
                "oid": oid, "key_hash": f"{number:032x}{at:032x}", "name": f"key {at}", "created_by": people[0],
                "permissions": chance.choice(held_by_keys), "allowed_ip_range": "", "first_seen": now,
            }
            for number, oid in enumerate(oids)
            for at in range(2)
        ],
    )  # fmt: skip

    yield "access_former", list(_former(chance, now, people, oids, granted + held_by_keys))


def _former(
    chance: random.Random, now: int, people: Sequence[str], oids: Sequence[str], permissions: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """What was so once, each for up to two hundred days."""
    for number in range(FORMER * ORGANIZATIONS):
        kind = chance.choices(("direct", "member", "held", "key", "group"), (50, 10, 20, 19, 1))[0]
        to = now - chance.randrange(1, DAYS * DAY)
        of_group = kind in ("member", "held", "group")
        principal = f"{number:064x}" if kind == "key" else chance.choice(people)
        yield {
            "kind": kind, "oid": "" if kind in ("member", "group") else chance.choice(oids),
            "gid": gid_of(chance.randrange(GROUPS)) if of_group else "",
            "principal": "" if kind in ("held", "group") else principal,
            "name": f"was {number}" if kind in ("key", "group") else "",
            "permissions": "[]" if kind in ("member", "held") else chance.choice(permissions),
            "complete": 1, "created_by": "", "allowed_ip_range": "", "first_seen": None,
            "valid_from": to - chance.randrange(1, 200 * DAY), "valid_to": to,
        }  # fmt: skip


def build(path: Path) -> None:
    """Make the store file."""
    from store import tree
    from store.database import Store

    with closing(Store(f"sqlite:///{path}")) as store, store.writing() as c:
        for table, rows in tables():
            columns = list(rows[0])
            c.exec_driver_sql(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [tuple(row.values()) for row in rows],
            )
        tree.replace_tree(
            c,
            [
                tree.TreeNode("root", None, "Provider"),
                *(tree.TreeNode(f"region-{number}", "root", f"Region {number}") for number in range(20)),
                *(
                    tree.TreeNode(
                        f"c{number}", f"region-{number % 20}", f"Customer {number:05}", oid_of(number)
                    )
                    for number in range(ORGANIZATIONS)
                ),
            ],
        )
        c.exec_driver_sql("ANALYZE")


JOINS = """
CREATE TABLE organization (id INTEGER PRIMARY KEY, oid TEXT NOT NULL);
CREATE TABLE person (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE permission (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE direct (org INTEGER, person INTEGER, permission INTEGER, PRIMARY KEY (org, person, permission)) WITHOUT ROWID;
CREATE TABLE member (grp INTEGER, person INTEGER, PRIMARY KEY (grp, person)) WITHOUT ROWID;
CREATE TABLE holds (grp INTEGER, org INTEGER, PRIMARY KEY (grp, org)) WITHOUT ROWID;
CREATE TABLE gives (grp INTEGER, permission INTEGER, PRIMARY KEY (grp, permission)) WITHOUT ROWID;
"""
INDEXES = """
CREATE UNIQUE INDEX organization_oid ON organization (oid);
CREATE UNIQUE INDEX person_email ON person (email);
CREATE UNIQUE INDEX permission_name ON permission (name);
CREATE INDEX direct_person ON direct (person, org, permission);
CREATE INDEX direct_permission ON direct (permission, person, org);
CREATE INDEX member_person ON member (person, grp);
CREATE INDEX holds_org ON holds (org, grp);
CREATE INDEX gives_permission ON gives (permission, grp);
ANALYZE;
"""


def _build_both(path: Path) -> None:
    build(path)
    normalise(Held(path))


def normalise(held: Held) -> None:
    """Make the file with the joins' tables of the store."""
    held.joins.unlink(missing_ok=True)
    with closing(sqlite3.connect(held.path)) as store, closing(sqlite3.connect(held.joins)) as joins:
        joins.executescript(JOINS)
        numbers: dict[str, dict[str, int]] = {}

        def number(kind: str, name: str) -> int:
            known = numbers.setdefault(kind, {})
            return known.setdefault(name, len(known) + 1)

        joins.executemany(
            "INSERT INTO direct VALUES (?, ?, ?)",
            (
                (number("organization", oid), number("person", email), number("permission", name))
                for oid, email, names in store.execute(
                    "SELECT oid, email, permissions FROM direct_permission"
                )
                for name in json.loads(names)
            ),
        )
        joins.executemany(
            "INSERT INTO member VALUES (?, ?)",
            (
                (number("group", gid), number("person", email))
                for gid, email in store.execute("SELECT gid, email FROM group_member WHERE NOT owner")
            ),
        )
        joins.executemany(
            "INSERT INTO holds VALUES (?, ?)",
            (
                (number("group", gid), number("organization", oid))
                for gid, oid in store.execute("SELECT gid, oid FROM group_organization")
            ),
        )
        joins.executemany(
            "INSERT INTO gives VALUES (?, ?)",
            (
                (number("group", gid), number("permission", name))
                for gid, names in store.execute("SELECT gid, permissions FROM organization_group")
                for name in json.loads(names)
            ),
        )
        joins.execute("CREATE TABLE grp (id INTEGER PRIMARY KEY, gid TEXT NOT NULL UNIQUE)")
        for kind, table in (
            ("organization", "organization"), ("person", "person"), ("permission", "permission"), ("group", "grp"),
        ):  # fmt: skip
            joins.executemany(
                f"INSERT INTO {table} VALUES (?, ?)", [(at, name) for name, at in numbers[kind].items()]
            )
        joins.executescript(INDEXES)
        joins.commit()
