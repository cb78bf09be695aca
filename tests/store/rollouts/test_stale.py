"""A plan is refused when anything that it rests on is not as it was: fifty ways in which that happens."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from store import ingest, models
from store.configuration import Record
from store.database import Store
from store.rollouts import keeping, plans
from store.templates import library
from store.tree import TreeNode, replace_tree

KEY = b"k" * 32
NOW = 1_795_176_000_000
HOUR = 60 * 60 * 1000
ONE, TWO, THREE, FOUR = (f"{n:08x}-0000-4000-8000-000000000000" for n in (1, 2, 3, 4))

BASE = """\
version: 3
limegrove:
  parameters:
    siem: {type: string, default: none.example}
    tier: {type: choice, choices: [gold, silver], default: silver}
include: [more.yaml]
extensions: [ext-cases]
resources: {api: [vt]}
outputs:
  siem: {module: syslog, for: detect, dest_host: '${siem}:514', tag: '${tier}'}
installation_keys: {linux: {desc: linux, tags: [linux]}}
hives:
  fp:
    changed: {data: {op: is, path: cat, value: new}, usr_mtd: {enabled: true, tags: [a]}}
    added: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true}}
    switched: {data: {op: is, path: cat, value: s}, usr_mtd: {enabled: true}}
    same: {data: {op: is, path: cat, value: same}, usr_mtd: {enabled: true}}
    named: {data: {op: is, path: cat, value: 'of ${organization}'}, usr_mtd: {enabled: true}}
"""
MORE = "version: 3\nhives: {sop: {guide: {data: {text: read}, usr_mtd: {enabled: true}}}}\n"
OTHER = "version: 3\nhives: {query: {q: {data: {query: a}, usr_mtd: {enabled: true}}}}\n"


def fp(value: str, **metadata: Any) -> Record:
    return Record(
        {"op": "is", "path": "cat", "value": value}, {"enabled": True, "expiry": 0, **metadata}, etag=value
    )


RECORDS = {
    "hive/fp": {
        "changed": fp("old", tags=["a"]),
        "switched": fp("s", enabled=False),
        "same": fp("same"),
        "gone": fp("gone"),
        "foreign": fp("foreign"),
    },
    "output": {"siem": Record({"name": "siem", "module": "syslog", "for": "detect", "dest_host": "old:514"})},
    "installation_key": {"i": Record({"iid": "i", "desc": "linux", "tags": "windows", "key": "k"})},
    "extension": {"ext-cases": Record({})},
    "resource": {"api": Record(["ip-geo"])},
}
NODES = [
    TreeNode(id="root", parent=None, name="All"),
    TreeNode(id="gold", parent="root", name="Gold", parameters={"siem": "gold.example"}),
    TreeNode(id="one", parent="gold", name="One", oid=ONE),
    TreeNode(id="two", parent="root", name="Two", oid=TWO),
    TreeNode(id="three", parent="root", name="Three", oid=THREE),
]


def put(c: Connection, base: str = BASE, more: str = MORE) -> None:
    library.put(c, "base", "main.yaml", {"main.yaml": base.encode(), "more.yaml": more.encode()}, now=NOW)


def organizations(c: Connection, *oids: str, name: str = "One") -> None:
    rows = [{"oid": oid, "name": name if oid == ONE else f"Org {oid[7]}"} for oid in oids]
    ingest.put_organizations(c, rows, complete=True, now=NOW)


def own(c: Connection, name: str, oid: str = ONE) -> None:
    c.execute(
        insert(models.TemplateOwned.__table__).values(
            oid=oid, section="hive/fp", name=name, template="base", version=1, hash="h", plan_id=0, at=NOW
        )
    )


class Undone(Exception):
    """Ends a transaction of which nothing is to stay."""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Three organizations that were read, a base for all, another template that nobody has."""
    made = Store(f"sqlite:///{tmp_path_factory.mktemp('stale') / 'store.db'}")
    with made.writing() as c:
        organizations(c, ONE, TWO, THREE)
        replace_tree(c, NODES)
        for oid in (ONE, TWO, THREE):
            ingest.put_sections(c, oid, RECORDS, NOW)
            ingest.put_sync_state(c, oid, "configuration", checked_at=NOW)
        put(c)
        library.put(c, "other", "main.yaml", {"main.yaml": OTHER.encode()}, now=NOW)
        library.assign(c, "root", "base", now=NOW)
        own(c, "gone")
    yield made
    made.close()


@pytest.fixture
def c(read):
    """A connection of which nothing stays."""
    with contextlib.suppress(Undone), read.writing() as connection:
        yield connection
        raise Undone


def kept(c: Connection) -> keeping.Plan:
    drafted = plans.drafted(c, scope="", key=KEY)
    return keeping.load(c, keeping.keep(c, drafted, title="t", by="me", now=NOW))


def planned(c: Connection) -> keeping.Plan:
    """A plan with every kind of change in it."""
    kinds = {(each.name, each.change) for each in plans.drafted(c, scope="", key=KEY).changes}
    assert kinds == {
        ("changed", "changed"), ("added", "added"), ("switched", "enabled"), ("gone", "removed"),
        ("siem", "changed"), ("linux", "changed"), ("api", "changed"), ("guide", "added"), ("named", "added"),
    }  # fmt: skip
    return kept(c)


def why(c: Connection, plan: keeping.Plan, *, key: bytes = KEY, now: int = NOW) -> str:
    return keeping.stale(c, keeping.load(c, plan.id), key=key, now=now)


def record(section: str, name: str, new: Record | None) -> Callable[[Connection], Any]:
    return lambda c: ingest.put_record(c, TWO, section, name, new, now=NOW + 1)


def text(old: str, new: str) -> Callable[[Connection], Any]:
    assert old in BASE
    return lambda c: put(c, BASE.replace(old, new))


def tree(*nodes: TreeNode, without: str = "") -> Callable[[Connection], Any]:
    known = {node.id: node for node in nodes}
    made = [known.pop(node.id, node) for node in NODES if node.id != without]
    return lambda c: replace_tree(c, [*made, *known.values()])


def node(id_: str, **values: Any) -> TreeNode:
    there = next((each for each in NODES if each.id == id_), None)
    base = {"id": id_, "parent": "root", "name": id_} if there is None else {
        "id": there.id, "parent": there.parent, "name": there.name, "oid": there.oid,
        "parameters": there.parameters, "marks": there.marks,
    }  # fmt: skip
    return TreeNode(**(base | values))


def decide(oid: str, name: str) -> Callable[[Connection], Any]:
    return lambda c: c.execute(
        insert(models.DriftDecision.__table__).values(
            oid=oid, section="hive/fp", name=name, decision=2, hash="", reason="", by="", at=NOW
        )
    )


def four(c: Connection) -> None:
    organizations(c, ONE, TWO, THREE, FOUR)
    tree(node("four", oid=FOUR))(c)


def five(c: Connection) -> None:
    four(c)
    ingest.put_sections(c, FOUR, RECORDS, NOW)
    ingest.put_sync_state(c, FOUR, "configuration", checked_at=NOW)


PLAN = models.RolloutPlan.__table__
ASSIGNED = models.TemplateAssignment.__table__
STATE = models.SyncState.__table__

DRIFT: dict[str, Callable[[Connection], Any]] = {
    "a record that was to be changed has another content": record("hive/fp", "changed", fp("theirs", tags=["a"])),
    "it has another etag": record("hive/fp", "changed", Record(fp("old").body, {"enabled": True, "expiry": 0, "tags": ["a"]}, etag="e2")),
    "it has another tag": record("hive/fp", "changed", fp("old", tags=["b"])),
    "it has an expiry": record("hive/fp", "changed", fp("old", tags=["a"], expiry=NOW)),
    "it has a comment": record("hive/fp", "changed", fp("old", tags=["a"], comment="c")),
    "it is disabled": record("hive/fp", "changed", fp("old", tags=["a"], enabled=False)),
    "it is as wanted by now": record("hive/fp", "changed", fp("new", tags=["a"])),
    "it is gone": record("hive/fp", "changed", None),
    "a record that was to be added is there": record("hive/fp", "added", fp("x")),
    "it is there with another content": record("hive/fp", "added", fp("theirs")),
    "a record that was to be enabled is enabled": record("hive/fp", "switched", fp("s")),
    "it has another content too": record("hive/fp", "switched", fp("t", enabled=False)),
    "it is gone, and was to be enabled": record("hive/fp", "switched", None),
    "a record that was as wanted is not any more": record("hive/fp", "same", fp("other")),
    "it is gone, and was as wanted": record("hive/fp", "same", None),
    "a record that was to be removed has another content": lambda c: ingest.put_record(c, ONE, "hive/fp", "gone", fp("other"), now=NOW + 1),
    "the output is another": record("output", "siem", Record({"name": "siem", "module": "s3", "for": "detect"})),
    "the output is gone": record("output", "siem", None),
    "the installation key has another tag": record("installation_key", "i", Record({"iid": "i", "desc": "linux", "tags": "mac"})),
    "the installation key is gone": record("installation_key", "i", None),
    "the extension was unsubscribed": record("extension", "ext-cases", None),
    "the resource is there by now": record("resource", "api", Record(["ip-geo", "vt"])),
    "the resources are others": record("resource", "api", Record(["insight"])),
    "an included record is there by now": record("hive/sop", "guide", Record({"text": "read"}, {"enabled": True})),
    "a record of the template has another content": text("value: new", "value: newer"),
    "a record of the template has another tag": text("tags: [a]", "tags: [c]"),
    "a record of the template is disabled": text("value: same}, usr_mtd: {enabled: true}", "value: same}, usr_mtd: {enabled: false}"),
    "a record of the template is gone": text("    added: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true}}\n", ""),
    "the template has one more record": text("  fp:\n", "  fp:\n    more: {data: {op: is, path: cat, value: m}, usr_mtd: {enabled: true}}\n"),
    "the template has one more extension": text("[ext-cases]", "[ext-cases, ext-yara]"),
    "a default of the template is another": text("default: none.example", "default: new.example"),
    "the template has one more parameter without a value": text("  parameters:\n", "  parameters:\n    x: {type: string, required: true}\n"),
    "an included file is another": lambda c: put(c, more=MORE.replace("read", "write")),
    "the template is broken": text("version: 3", "version: 4"),
    "another template is a layer now": lambda c: library.assign(c, "gold", "other", now=NOW),
    "the template is a layer of another node only": lambda c: (library.unassign(c, "root", "base"), library.assign(c, "gold", "base", now=NOW)),
    "the template is no layer any more": lambda c: library.unassign(c, "root", "base"),
    "a template is in the store that was not": lambda c: library.put(c, "new", "main.yaml", {"main.yaml": OTHER.encode()}, now=NOW),
    "a parameter of the tree is another": tree(node("gold", parameters={"siem": "other.example"})),
    "a parameter of the tree is gone": tree(node("gold", parameters={})),
    "a parameter of the tree is new": tree(node("two", parameters={"tier": "gold"})),
    "a parameter of the tree cannot be": tree(node("two", parameters={"tier": "bronze"})),
    "an organization stands elsewhere in the tree": tree(node("two", parent="gold")),
    "an organization is not in the tree any more": tree(without="three"),
    "an organization is frozen": tree(node("two", marks=("frozen",))),
    "an organization is protected": tree(node("two", marks=("protected",))),
    "an organization is a canary": tree(node("two", marks=("canary",))),
    "an organization is new, and was never read": four,
    "an organization is new, and was read": five,
    "an organization was renamed, and a record names it": lambda c: organizations(c, ONE, TWO, THREE, name="Uno"),
    "an organization was never read whole, as it turns out": lambda c: c.execute(update(STATE).where(STATE.c.oid == TWO).values(checked_at=None)),
    "a record was excluded": decide(TWO, "changed"),
    "a template brought one more record that it does not want": lambda c: own(c, "foreign"),
    "a template brought none of what was to be removed": lambda c: c.execute(delete(models.TemplateOwned.__table__)),
    "somebody edited the plan's hash": lambda c: c.execute(update(PLAN).values(hash="0" * 64)),
    "somebody edited the plan's scope": lambda c: c.execute(update(PLAN).values(scope="gold")),
}  # fmt: skip


def test_a_plan_of_which_nothing_changed_holds(c):
    assert why(c, planned(c)) == ""


@pytest.mark.parametrize("change", DRIFT.values(), ids=DRIFT)
def test_a_plan_is_stale_when(c, change):
    plan = planned(c)
    change(c)
    assert "stale" in why(c, plan)


def test_they_are_at_least_fifty():
    assert len(DRIFT) >= 50


def test_a_plan_is_stale_with_another_redaction_key_where_it_holds_a_secret(c):
    put(c, BASE.replace("tag: '${tier}'", "password: hunter2"))
    plan = kept(c)
    assert why(c, plan) == ""
    assert "stale" in why(c, plan, key=b"j" * 32)


@pytest.mark.parametrize("now", [NOW + HOUR, NOW + 24 * HOUR])
def test_a_plan_that_is_too_old_is_refused(c, now):
    assert why(c, planned(c), now=now) == "The plan has expired; plan again."


def test_what_no_template_speaks_of_makes_no_plan_stale(c):
    plan = planned(c)
    ingest.put_record(c, TWO, "hive/fp", "foreign", fp("other"), now=NOW + 1)
    assert why(c, plan) == ""


def test_another_order_of_layers_that_comes_to_the_same_makes_no_plan_stale(c):
    library.assign(c, "root", "other", now=NOW)
    plan = kept(c)
    position = c.execute(select(ASSIGNED.c.position).where(ASSIGNED.c.template == "base")).scalar_one()
    c.execute(update(ASSIGNED).where(ASSIGNED.c.template == "base").values(position=position + 5))
    assert why(c, plan) == ""
