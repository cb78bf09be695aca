"""An organization as a document: read, pushed, pushed with force, and by whom."""

import json
import random
from typing import Any

import pytest
import yaml

HIVES = ("dr-general", "fp", "secret", "lookup", "extension_config", "query", "yara")
EVERYTHING: dict[str, Any] = {
    "sync_resources": True,
    "sync_extensions": True,
    "sync_outputs": True,
    "sync_org_values": True,
    "sync_integrity": True,
    "sync_artifacts": True,
    "sync_exfil": True,
    "sync_installation_keys": True,
    "sync_yara": True,
    "sync_hives": dict.fromkeys(HIVES, True),
}
RULE = {"detect": {"op": "is windows"}, "respond": [{"action": "report", "name": "n"}]}


class Documents:
    """Fetches and pushes one organization as its administrator, or as somebody else."""

    def __init__(self, asker: Any, one: Any, token: str) -> None:
        self.asker = asker
        self.one = one
        self.token = token

    async def ask(self, action: str, **data: Any) -> tuple[int, Any]:
        """Status and the answer's data, or its error."""
        form = {"oid": self.one.oid, "action": action, "data": json.dumps(data)}
        path = "/v1/extension/request/ext-infrastructure"
        status, body, _ = await self.asker.ask("POST", path, self.token, data=form)
        return status, body["data"] if status == 200 else body["error"]

    async def fetch(self, **options: Any) -> Any:
        """The document, with everything or what is asked for."""
        status, data = await self.ask("fetch", options=options or EVERYTHING)
        assert status == 200, data
        return data["org"]

    async def push(self, document: Any, **options: Any) -> tuple[list[str], list[str]]:
        """What was added (+) and removed (-), and the errors; with all flags on unless some are named."""
        flags = options if any(name.startswith("sync_") for name in options) else EVERYTHING | options
        status, data = await self.ask("push", config=yaml.safe_dump(document, version=(1, 1)), options=flags)
        assert status == 200, data
        signs = [
            ("+" if op["is_added"] else "-" if op["is_removed"] else "=", f"{op['type']} {op['name']}")
            for op in data["ops"]
        ]
        return [f"{sign} {name}" for sign, name in signs if sign != "="], [
            each["error"] for each in data["errors"]
        ]


@pytest.fixture
async def documents(asker: Any) -> Documents:
    """The first organization, as the root administrator."""
    return Documents(asker, asker.one, await asker.token(oid=asker.one.oid))


async def test_what_was_fetched_changes_nothing_when_it_is_pushed_with_force(documents: Documents) -> None:
    before = await documents.fetch()
    noted = len(documents.asker.world.noted(documents.one))
    assert await documents.push(before, is_force=True) == ([], [])
    assert await documents.fetch() == before
    assert len(documents.asker.world.noted(documents.one)) == noted


async def test_a_pushed_document_is_what_is_fetched_afterwards(documents: Documents) -> None:
    document = await documents.fetch()
    document["extensions"] = sorted([*document["extensions"], "ext-sensor-cull"])
    document["resources"]["api"] = sorted([*document["resources"]["api"], "new-feed"])
    document["org-value"]["shodan"] = "key"
    document["outputs"]["new"] = {"module": "webhook", "for": "audit", "dest_host": "https://h.example"}
    document["integrity"]["new"] = {"patterns": ["/etc/x"], "platforms": ["linux"], "tags": []}
    document["installation_keys"]["lab"] = {"desc": "lab", "tags": ["a"], "use_public_root_ca": True}
    document["installation_keys"]["servers"]["tags"] = ["server"]
    document["yara"]["sources"]["s"] = {"source": "rule a { condition: true }"}
    metadata = {"enabled": True, "expiry": 0, "tags": ["x"], "comment": "c"}
    document["hives"]["dr-general"]["new"] = {"data": RULE, "usr_mtd": metadata}
    document["hives"]["secret"]["slack-token"]["data"] = {"secret": "changed"}
    expected = [
        "+ resource api/new-feed",
        "+ hives secret/slack-token",
        "+ extension ext-sensor-cull",
        "+ org-value shodan",
        "+ output new",
        "+ integrity new",
        "+ hives dr-general/new",
        "+ installation-key lab",
        "+ installation-key servers",
        "+ yara-source s",
    ]
    before = await documents.fetch()
    done, errors = await documents.push(document, is_dry_run=True)
    assert (sorted(done), errors) == (sorted(expected), [])
    assert await documents.fetch() == before
    done, errors = await documents.push(document)
    assert (sorted(done), errors) == (sorted(expected), [])
    order = [done.index(name) for name in expected if "hives dr-general" not in name and "key" not in name]
    assert order == sorted(order)
    after = await documents.fetch()
    echoed = after["hives"]["extension_config"].pop("ext-integrity")
    del document["hives"]["extension_config"]["ext-integrity"]
    assert echoed["data"]["fim_rules"]["new"]["patterns"] == ["/etc/x"]
    assert after == document
    root = documents.asker.world.access.root
    noted = documents.asker.world.noted(documents.one)
    assert {entry["ident"] for entry in noted} == {root}
    assert {entry["etype"] for entry in noted} == {"hive_set", "config_change"}
    assert {"type": "output", "name": "new"} in [entry["entity"] for entry in noted]


async def test_without_force_nothing_is_removed(documents: Documents) -> None:
    before = await documents.fetch()
    sparse = {"version": 3, "extensions": [], "outputs": {}, "hives": {"dr-general": {}}}
    assert await documents.push(sparse) == ([], [])
    assert await documents.fetch() == before


async def test_force_removes_only_where_a_flag_is_on(documents: Documents) -> None:
    before = await documents.fetch()
    kept = dict(list(before["hives"]["dr-general"].items())[:1])
    document = {
        "version": 3,
        "extensions": ["ext-infrastructure"],
        "outputs": {},
        "hives": {"dr-general": kept, "fp": {}},
    }
    done, errors = await documents.push(document, is_force=True, sync_hives={"dr-general": True})
    assert (len(done), errors) == (len(before["hives"]["dr-general"]) - 1, [])
    after = await documents.fetch()
    assert after["hives"].pop("dr-general") == kept
    del before["hives"]["dr-general"]
    assert after == before


async def test_a_forced_push_unsubscribes_from_what_the_document_does_not_name(documents: Documents) -> None:
    gone: list[str] = []
    documents.asker.world.on_unsubscribed.append(lambda _, name: gone.append(name))
    present = (await documents.fetch(sync_extensions=True))["extensions"]
    document = {"version": 3, "extensions": ["ext-infrastructure", "ext-exfil"]}
    flags = {"is_force": True, "sync_extensions": True}
    expected = [f"- extension {name}" for name in present if name not in document["extensions"]]  # type: ignore[operator]
    assert len(expected) > 2
    assert await documents.push(document, is_dry_run=True, **flags) == (expected, [])
    assert not gone
    assert await documents.push(document, **flags) == (expected, [])
    assert [f"- extension {name}" for name in gone] == expected
    assert (await documents.fetch(sync_extensions=True))["extensions"] == ["ext-exfil", "ext-infrastructure"]


async def test_force_empties_a_section_that_is_on_and_not_there_but_no_hive_and_no_category(
    documents: Documents,
) -> None:
    before = await documents.fetch()
    done, errors = await documents.push(
        {"version": 3, "resources": {"api": ["insight"]}},
        is_force=True,
        sync_outputs=True,
        sync_resources=True,
        sync_hives={"fp": True},
    )
    assert not errors
    assert {f"- output {name}" for name in before["outputs"]} < set(done)
    after = await documents.fetch()
    assert after["outputs"] == {}
    assert after["hives"]["fp"] == before["hives"]["fp"]
    assert after["resources"] == {"api": ["insight"], "replicant": before["resources"]["replicant"]}


async def test_tags_protect_the_records_that_do_not_carry_them(documents: Documents) -> None:
    records = documents.asker.world.records(documents.one, "dr-general")
    critical = {key for key, record in records.items() if "critical" in record["usr_mtd"]["tags"]}
    assert 0 < len(critical) < len(records)
    document: dict[str, Any] = {"version": 3, "hives": {"dr-general": {}}}
    flags = {"is_force": True, "sync_hives": {"dr-general": True}, "tags": ["critical"]}
    done, _ = await documents.push(document, **flags)
    assert set(done) == {f"- hives dr-general/{key}" for key in critical}


async def test_one_wrong_element_is_an_error_and_the_others_are_applied(documents: Documents) -> None:
    document = {
        "version": 3,
        "extensions": ["ext-no-such", "ext-sensor-cull"],
        "outputs": {"bad": {"module": "nope", "type": "event"}, "good": {"module": "gcs", "type": "event"}},
        "hives": {
            "dr-general": {
                "bad": {"data": {"detect": {"op": "nope"}, "respond": []}},
                "late": {"data": RULE, "usr_mtd": {"enabled": True, "expiry": 1_700_000_000}},
                "good": {"data": RULE, "usr_mtd": {"enabled": True}},
                "empty": {"usr_mtd": {"enabled": True}},
            }
        },
        "integrity": ["not a map"],
    }
    for dry in (True, False):
        done, errors = await documents.push(document, is_dry_run=dry)
        assert done == [
            "+ extension ext-sensor-cull",
            "+ output good",
            "+ hives dr-general/good",
        ]
        assert len(errors) == 6
        for said in ("ext-no-such", "output bad", "dr-general/bad", "INVALID_EXPIRY", "empty", "integrity"):
            assert any(said in error for error in errors)


async def test_metadata_alone_changes_a_record_that_is_there(documents: Documents) -> None:
    key = "printer-assist-updater"
    before = documents.asker.world.records(documents.one, "fp")[key]
    document = {"version": 3, "hives": {"fp": {key: {"usr_mtd": {"enabled": False}}}}}
    assert await documents.push(document) == ([f"+ hives fp/{key}"], [])
    after = documents.asker.world.records(documents.one, "fp")[key]
    assert (after["data"], after["usr_mtd"]["enabled"]) == (before["data"], False)


async def test_the_older_sections_hold_rules_and_false_positives(documents: Documents) -> None:
    node = {"op": "is", "path": "cat", "value": "x"}
    document = {
        "version": 3,
        "rules": {"old": {"namespace": "managed", **RULE}, "off": {"is_enabled": False, **RULE}},
        "fps": {"f": {"data": node}},
    }
    flags = {"sync_dr": True, "sync_fp": True}
    assert await documents.push(document, **flags) == (
        ["+ dr-rule off", "+ dr-rule old", "+ fp-rule f"],
        [],
    )
    assert await documents.push(document, **flags) == ([], [])
    world = documents.asker.world
    assert world.records(documents.one, "dr-managed")["old"]["usr_mtd"]["enabled"] is True
    assert world.records(documents.one, "dr-general")["off"]["usr_mtd"]["enabled"] is False
    fetched = await documents.fetch(**flags)
    assert fetched["rules"]["old"] == {"namespace": "managed", "is_enabled": True, **RULE}
    assert fetched["fps"]["f"] == {"data": node}


async def test_who_may_not_change_a_section_changes_nothing_or_leaves_it_out(documents: Documents) -> None:
    asker = documents.asker
    user = asker.world.access.users[asker.world.access.root]
    held = ("ext.request", "output.list", "output.set", "dr.list", "dr.set", "ext.sub.mtd")
    documents.token = asker.sandbox.tokens.issue(
        ident=user.email,
        uid=user.uid,
        credential=user.uid,
        expires=asker.world.now + 10**9,
        permissions={documents.one.oid: held},
        shared=False,
        ip="",
    )
    outputs = asker.world.configuration.outputs(documents.one)
    document = {
        "version": 3,
        "extensions": [],
        "outputs": {"new": {"module": "gcs", "type": "event"}},
        "hives": {"dr-general": {"new": {"data": RULE, "usr_mtd": {"enabled": True}}}},
    }
    flags = {"sync_outputs": True, "sync_extensions": True, "sync_hives": {"dr-general": True}}
    config = yaml.safe_dump(document)
    status, error = await documents.ask("push", config=config, options=flags | {"is_force": True})
    assert (status, error) == (401, "unauthorized: missing privilege named dr.del")
    assert asker.world.configuration.outputs(documents.one) == outputs
    assert "new" not in asker.world.records(documents.one, "dr-general")
    done, errors = await documents.push(document, **flags)
    assert (done, errors) == (["+ output new", "+ hives dr-general/new"], [])
    document["outputs"] = {}
    done, errors = await documents.push(document, is_force=True, ignore_inaccessible=True, **flags)
    assert (done, errors) == ([], [])
    assert "new" in asker.world.configuration.outputs(documents.one)
    status, error = await documents.ask("push", config=config, options={"sync_installation_keys": True})
    assert (status, error) == (401, "unauthorized: missing privilege named ikey.list")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("outputs: {}", "version not found"),
        ("version: 4", "version 4 is not supported"),
        ("- a", "not a map"),
        ("version: [", "not YAML"),
        ("version: 3\na: !!python/object:os.system {}", "bad config"),
        ("", "missing config"),
    ],
)
async def test_what_is_no_document_is_refused(documents: Documents, config: str, reason: str) -> None:
    status, error = await documents.ask("push", config=config, options=EVERYTHING)
    assert status == 400
    assert reason in error
    status, error = await documents.ask("push", config_source="[https,x]", options=EVERYTHING)
    assert status == 400
    assert "config_source" in error


async def test_a_document_moves_an_organization_into_an_empty_one(documents: Documents) -> None:
    world = documents.asker.world
    one = world.create_organization("Copy", "", world.access.root)
    other = Documents(documents.asker, one, await documents.asker.token(oid=one.oid))
    status, error = await other.ask("fetch", options=EVERYTHING)
    assert (status, error) == (400, "organization is not subscribed to ext-infrastructure")
    path = f"/v1/orgs/{one.oid}/subscription/extension/ext-infrastructure"
    assert (await documents.asker.ask("POST", path, other.token))[0] == 200
    document = await documents.fetch()
    _, errors = await other.push(document)
    assert not errors
    assert await other.fetch() == document


async def test_an_organization_can_be_made_of_a_document(documents: Documents) -> None:
    asker = documents.asker
    document = await documents.fetch()
    token = await asker.token(oid="-")
    form = {"name": "Made of a document", "loc": "europe", "template": yaml.safe_dump(document)}
    status, body, _ = await asker.ask("POST", "/v1/orgs/new", token, data=form)
    assert status == 200, body
    one = asker.world.by_oid[body["data"]["oid"]]
    made = Documents(asker, one, await asker.token(oid=one.oid))
    assert await made.fetch() == document


async def test_what_stands_in_a_closed_scope_is_neither_changed_nor_removed(documents: Documents) -> None:
    asker = documents.asker
    path = f"/v1/hive/acl/{documents.one.oid}/others/data"
    form = {"data": json.dumps({"members": [{"type": "group", "id": "nobody's"}]})}
    assert (await asker.ask("POST", path, documents.token, data=form))[0] == 200
    path = f"/v1/hive/query/{documents.one.oid}/critical-detections/mtd"
    form = {"usr_mtd": json.dumps({"enabled": True, "tags": ["acl:others"]})}
    assert (await asker.ask("POST", path, documents.token, data=form))[0] == 200
    before = asker.world.records(documents.one, "query")
    flags = {"sync_hives": {"query": True}, "is_force": True}
    fetched = await documents.fetch(**flags)
    assert fetched["hives"]["query"]["critical-detections"]["data"] == {"acl_restricted": True}
    rest = {key: record for key, record in fetched["hives"]["query"].items() if key != "critical-detections"}
    for held in (fetched["hives"]["query"], rest):
        document = {"version": 3, "hives": {"query": held}}
        for dry in (True, False):
            done, errors = await documents.push(document, is_dry_run=dry, **flags)
            assert (done, len(errors)) == ([], 1)
            assert "critical-detections is restricted" in errors[0]
        assert await documents.push(document, ignore_inaccessible=True, **flags) == ([], [])
    assert asker.world.records(documents.one, "query") == before


JUNK: tuple[Any, ...] = (
    None, 5, "x", "", [], {}, [1], [[]], True, 1.5, {"a": 1}, {"op": "is"}, {"data": 5}, {"usr_mtd": []},
)  # fmt: skip


def _damaged(value: Any, chance: random.Random) -> Any:
    if chance.random() < 0.08:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {key: _damaged(each, chance) for key, each in value.items()}
    if isinstance(value, list):
        return [_damaged(each, chance) for each in value]
    return value


async def test_a_damaged_document_is_answered_and_the_whole_one_mends_what_it_did(
    documents: Documents,
) -> None:
    before = await documents.fetch()
    changed = refused = 0
    for seed in range(10):
        chance = random.Random(seed)
        damaged = {name: _damaged(section, chance) for name, section in before.items()} | {"version": 3}
        done, errors = await documents.push(damaged, is_force=seed % 3 == 0)
        # Whoever unsubscribes from this very extension is not answered by it any more.
        documents.asker.world.configuration.set_extension(documents.one, "ext-infrastructure", True)
        changed += len(done)
        refused += len(errors)
        await documents.fetch()
        assert (await documents.push(before, is_force=True))[1] == []
        assert await documents.fetch() == before
    assert changed > 10
    assert refused > 10
