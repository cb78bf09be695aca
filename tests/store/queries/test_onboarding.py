"""What wishes for new customers are judged against, and the steps that they become, on both engines."""

import json
from typing import Any

from store import ingest, runs
from store.onboarding import Known, judged
from store.onboardsteps import planned, sums
from store.queries.onboarding import known
from store.templates import library
from store.times import now_ms
from store.tree import TreeNode, replace_tree

OID = "00000001-0000-4000-8000-000000000000"
GID = "99999999-0000-4000-8000-000000000000"
BASE = (
    b"version: 3\nlimegrove: {parameters: {host: {type: string, required: true}}}\nextensions: [ext-cases]\n"
)


def filled(store: Any) -> Known:
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": OID, "name": "Acme"}, {"oid": OID[:-1] + "1", "name": "Gone"}], complete=True, now=1
        )
        ingest.put_organizations(c, [{"oid": OID, "name": "Acme"}], complete=True, now=2)
        ingest.put_group(
            c,
            {
                "group_id": GID,
                "name": "SOC",
                "orgs": [],
                "owners": ["Own@msp.example"],
                "members": ["m@msp.example"],
                "perms": [],
            },
            now=2,
        )
        replace_tree(
            c,
            [
                TreeNode("root", None, "All", parameters={"host": "h"}, marks=("protected",)),
                TreeNode("eu", "root", "Europe", parameters={"weight": 1}),
                TreeNode("acme", "eu", "Acme", OID),
                TreeNode("us", "root", "Americas", parameters={"host": "u"}),
            ],
        )
        library.put(c, "base", "main.yaml", {"main.yaml": BASE}, now=now_ms())
        library.put(
            c, "edr", "main.yaml", {"main.yaml": b"version: 3\nextensions: [ext-exfil]\n"}, now=now_ms()
        )
        library.assign(c, "root", "base", now=now_ms())
        library.assign(c, "eu", "edr", now=now_ms())
    with store.reader.reading() as c:
        return known(c, me="me@msp.example")


def test_a_place_has_what_holds_below_it(store: Any) -> None:
    found = filled(store)

    assert list(found.places) == ["root", "eu", "acme", "us"]
    eu, us = found.places["eu"], found.places["us"]
    assert (eu.path, dict(eu.parameters), eu.marks) == ("Europe", {"host": "h", "weight": 1}, {"protected"})
    assert [layer.name for layer in eu.layers] == ["base", "edr"]
    assert (dict(us.parameters), [layer.name for layer in us.layers]) == ({"host": "u"}, ["base"])
    assert [layer.name for layer in found.places["acme"].layers] == ["base", "edr"]


def test_only_what_exists_is_known(store: Any) -> None:
    found = filled(store)

    assert found.organizations == {OID: "Acme"}
    assert found.groups == {GID: ("SOC", True)}
    assert found.people == {"own@msp.example", "m@msp.example"}
    assert set(found.templates) == {"base", "edr"}
    assert (found.me, found.extensions, found.taken) == ("me@msp.example", None, None)


def test_an_empty_store_knows_nothing_and_misses_nobody(store: Any) -> None:
    with store.reader.reading() as c:
        found = known(c)

    assert (dict(found.places), found.people) == ({}, None)
    assert judged([(2, {"name": "Acme", "owners": "a@b.example"})], found).stopped == ()


def test_wishes_become_a_run_that_the_store_keeps(store: Any) -> None:
    found = filled(store)
    verdict = judged(
        [
            (2, {"name": "Borealis", "node": "eu", "groups": "SOC", "owners": "own@msp.example",
                 "users": "kim@b.example:Viewer", "extensions": "ext-cases;ext-yara", "quota": "5",
                 "marks": "canary;frozen", "installation_keys": "linux", "contacts": "Kim"}),
            (3, {"name": "Cedar"}),
        ],
        found,
    )  # fmt: skip
    assert verdict.stopped == ()

    wanted = planned(verdict, found, source="file:x.csv", smoke=True)
    with store.writing() as c:
        number = runs.keep(c, wanted, by="me", now=now_ms())
    with store.reader.reading() as c:
        run = runs.load(c, number)
        steps = [(step.verb, step.target) for step in runs.steps(c, number, 1)]

    assert (run.kind, run.title, run.source) == ("onboard", "onboard 2 organizations", "file:x.csv")
    assert steps == [
        ("organization.create", "Borealis"), ("node.place", "Borealis"), ("customer.document", ""),
        ("quota.set", ""), ("extension.subscribe", "ext-yara"), ("user.add", "own@msp.example"),
        ("user.add", "kim@b.example"), ("group.add-organization", GID), ("installation-key.make", "linux"),
        ("record.set", "extensions/ext-cases"), ("record.set", "extensions/ext-exfil"),
        ("smoke.sensor", ""), ("smoke.event", ""), ("smoke.detection", ""), ("smoke.case", ""),
        ("smoke.output", ""), ("node.freeze", ""),
    ]  # fmt: skip
    assert not run.destructive
    assert dict(sums(wanted))["organization.create"] == 2
    invites = {
        step.target: step.arguments["invite"] for step in wanted.items[0].steps if step.verb == "user.add"
    }
    assert invites == {"own@msp.example": False, "kim@b.example": True}
    assert "frozen" not in json.dumps([dict(step.arguments) for step in wanted.items[0].steps[:-1]])
