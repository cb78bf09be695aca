"""What is remembered of organizations that were as wanted changes how long planning takes, and nothing else."""

import contextlib
import random

import pytest
from sqlalchemy import delete, insert

from store import ingest, models
from store.configuration import Record
from store.rollouts import plans
from store.templates import library
from store.tree import TreeNode, replace_tree

KEY = b"k" * 32
NOW = 1_795_176_000_000
OIDS = tuple(f"{n:08x}-0000-4000-8000-000000000000" for n in range(1, 13))
OFF = {"enabled": False, "expiry": 0}
ON = {"enabled": True, "expiry": 0}


def document(**values: str) -> bytes:
    """Rules, an output, an installation key, an extension, a category of resources."""
    fp = "".join(
        f"    {name}: {{data: {{op: is, path: cat, value: '{value}'}}, usr_mtd: {{enabled: true}}}}\n"
        for name, value in values.items()
        if name.startswith("r")
    )
    return (
        "version: 3\n"
        f"extensions: [{values.get('extension', 'ext-cases')}]\n"
        f"resources: {{api: [{values.get('resource', 'vt')}]}}\n"
        f"outputs: {{siem: {{module: syslog, for: detect, dest_host: '{values.get('host', 'a:1')}'}}}}\n"
        f"installation_keys: {{linux: {{desc: linux, tags: [{values.get('tag', 'linux')}]}}}}\n"
        f"hives:\n  fp:\n{fp}"
    ).encode()


BEFORE = {"r1": "a", "r2": "b", "r3": "c"}
AFTER = (
    {"r1": "a", "r2": "new", "r3": "c"},
    {"r1": "a", "r3": "c"},
    {"r1": "a", "r2": "b", "r3": "c", "r4": "d"},
    {**BEFORE, "host": "b:2", "tag": "windows"},
    {**BEFORE, "extension": "ext-yara", "resource": "ip-geo"},
    {"r1": "x", "r3": "y", "r9": "z", "tag": "macos"},
)
SEPARATORS = ("plain", "two\x1fparts", "\n", "", " a b ", "\x1f", "é")


class Undone(Exception):
    """Ends a transaction of which nothing is to stay."""


def rule(value: str, metadata: dict, etag: str) -> Record:
    return Record({"op": "is", "path": "cat", "value": value}, metadata, etag=etag)


@pytest.fixture
def provider(store):
    """Twelve organizations that are as their template wants them, with etags of every kind."""
    chance = random.Random(7)
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": f"Org {n}"} for n, oid in enumerate(OIDS)], complete=True, now=NOW
        )
        nodes = [
            TreeNode(id="root", parent=None, name="All"),
            TreeNode(id="gold", parent="root", name="Gold"),
        ]
        for n, oid in enumerate(OIDS):
            marks = ("canary",) if n == 3 else ()
            nodes.append(
                TreeNode(
                    id=f"o{n}", parent="gold" if n % 3 else "root", name=f"Org {n}", oid=oid, marks=marks
                )
            )
        replace_tree(c, nodes)
        for n, oid in enumerate(OIDS):
            fp = {
                name: rule(value, ON, SEPARATORS[chance.randrange(len(SEPARATORS))])
                for name, value in BEFORE.items()
            }
            sections = {
                "hive/fp": fp,
                "output": {
                    "siem": Record({"name": "siem", "module": "syslog", "for": "detect", "dest_host": "a:1"})
                },
                "installation_key": {
                    f"i{n}": Record({"iid": f"i{n}", "desc": "linux", "tags": "linux", "key": "k"})
                },
                "extension": {"ext-cases": Record({})},
                "resource": {"api": Record(["vt"])},
            }
            ingest.put_sections(c, oid, sections, NOW)
            ingest.put_sync_state(c, oid, "configuration", checked_at=NOW)
            if n % 2:
                c.execute(
                    insert(models.TemplateOwned.__table__).values(
                        oid=oid, section="hive/fp", name="r2", template="base", version=1, hash="h",
                        plan_id=0, at=NOW,
                    )
                )  # fmt: skip
        library.put(c, "base", "main.yaml", {"main.yaml": document(**BEFORE)}, now=NOW)
        library.assign(c, "root", "base", now=NOW)
        drafted = plans.drafted(c, scope="", key=KEY)
        assert drafted.changes == ()
        plans.remember(c, drafted, now=NOW, mark=plans.newest_record(c))
    return store


@pytest.mark.parametrize("number", range(len(AFTER)))
def test_a_changed_template_is_planned_alike_with_and_without_what_is_remembered(provider, number):
    with contextlib.suppress(Undone), provider.writing() as c:
        # Some organizations were changed in the cloud since: they are compared as if nothing were known.
        ingest.put_record(c, OIDS[4], "hive/fp", "r1", rule("theirs", OFF, "e\x1f"), now=NOW + 5)
        ingest.put_record(c, OIDS[5], "hive/fp", "r3", None, now=NOW + 5)
        library.put(c, "base", "main.yaml", {"main.yaml": document(**AFTER[number])}, now=NOW + 9)
        quick = plans.drafted(c, scope="", key=KEY)
        c.execute(delete(models.WantedState.__table__))
        slow = plans.drafted(c, scope="", key=KEY)
        assert quick.changes == slow.changes != ()
        assert (quick.hash, quick.folds, quick.differing) == (slow.hash, slow.folds, slow.differing)
        etags = {
            (row.oid, row.section, row.name): row.etag
            for row in c.execute(models.ConfigurationRecord.__table__.select())
            if row.valid_to is None
        }
        for change in quick.changes:
            if change.before is not None and change.section == "hive/fp":
                assert change.before.etag == etags[change.oid, *change.key]
        raise Undone


def test_what_was_excluded_is_left_out_of_the_plan_of_that_organization_alone(provider):
    with contextlib.suppress(Undone), provider.writing() as c:
        library.put(c, "base", "main.yaml", {"main.yaml": document(**AFTER[0])}, now=NOW + 9)
        c.execute(
            insert(models.DriftDecision.__table__).values(
                oid=OIDS[2], section="hive/fp", name="r2", decision=2, by="me", at=NOW, reason="", hash=""
            )
        )
        drafted = plans.drafted(c, scope="", key=KEY)
        assert {each.oid for each in drafted.changes} == set(OIDS) - {OIDS[2]}
        assert OIDS[2] in drafted.differing
        raise Undone


def test_folds_have_every_organization_once_and_changes_in_the_order_of_the_tree(provider):
    with contextlib.suppress(Undone), provider.writing() as c:
        ingest.put_record(c, OIDS[4], "hive/fp", "r1", rule("theirs", OFF, "e"), now=NOW + 5)
        library.put(c, "base", "main.yaml", {"main.yaml": document(**AFTER[0])}, now=NOW + 9)
        drafted = plans.drafted(c, scope="", key=KEY)
        order = list(drafted.organizations)
        assert [each.oid for each in drafted.changes] == sorted(
            (each.oid for each in drafted.changes), key=order.index
        )
        listed = [oid for fold in drafted.folds for oid in fold.oids]
        assert sorted(listed) == sorted(OIDS)
        assert [len(fold.oids) for fold in drafted.folds] == [11, 1]
        assert [(each.name, each.change) for each in drafted.folds[1].changes] == [
            ("r1", "changed"),
            ("r2", "changed"),
        ]
        raise Undone
