"""What the audit log tells."""

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import END, NOW_MS, START, Stage

AUDIT = "GET /v1/insight/{oid}/audit"


@probe(
    {
        AUDIT: "events events.* events.*.ident events.*.entity events.*.etype events.*.msg events.*.mtd events.*.time"
    }
)
def the_audit_log_tells_who_granted_what(it: Stage) -> None:
    audit = it.world.audit
    said = it.json("audit", "list", "--start", START, "--end", END)
    assert said == [audit.entry(it.one, number) for number in range(audit.count(it.one))]
    grant = said[3]
    contact = it.world.access.contacts(it.one)[0][0]
    assert grant["ident"] == it.world.access.root
    assert grant["entity"] == {"type": "user", "name": contact}
    assert grant["mtd"]["permission"] in it.world.access.direct(it.one)[contact]
    assert grant["msg"] == f"user permission {grant['mtd']['permission']} granted to {contact}"


@probe({AUDIT: "events.*.etype events"})
def entries_of_one_kind_are_listed(it: Stage) -> None:
    everything = it.audit(it.one.oid)
    for etype in sorted({row["etype"] for row in everything}):
        said = it.json("audit", "list", "--start", START, "--end", END, "--event-type", etype)
        assert said == [row for row in everything if row["etype"] == etype]
    assert it.json("audit", "list", "--start", START, "--end", END, "--limit", "3") == everything[:3]


@probe({AUDIT: "next_cursor events"})
def entries_arrive_in_pages(it: Stage) -> None:
    ask = "client.request('GET', f'insight/{org.oid}/audit', query_params=query)"
    query = {"start": START, "end": END, "limit": "5", "cursor": "-"}
    found = []
    while query["cursor"]:
        page = it.sdk(ask, query=query)
        found += page["events"]
        query["cursor"] = page["next_cursor"]
    assert found == it.audit(it.one.oid)
    assert len(found) > 10


def _writes(it: Stage) -> list[tuple[str, ...]]:
    """Every kind of change to an organization that is not the deletion of something."""
    one = it.spare(18)
    sid = it.world.sensor(one, 0).sid
    email = "new@guests.example"
    rule = {"detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/X"}, "respond": []}
    held = it.world.configuration.extensions(one)
    extension = next(
        name for name in ("ext-yara", "ext-sigma", "ext-integrity", "ext-vt") if name not in held
    )
    options = it.file({"dest_host": "log.example:514"})
    return [
        ("org", "rename", "--name", it.name("Renamed")),
        ("org", "quota", "--quota", "9"),
        ("org", "config-set", "--name", "otx", "--value", "x"),
        ("user", "invite", "--email", email),
        ("user", "permissions", "add", "--email", email, "--permission", "dr.list"),
        ("user", "permissions", "set-role", "--email", email, "--role", "Viewer"),
        ("api-key", "create", "--name", "k", "--permissions", "dr.list"),
        ("installation-key", "create", "--description", "d", "--tags", "a"),
        ("ingestion-key", "create", "--name", "i"),
        (
            "output",
            "create",
            "--name",
            "o",
            "--module",
            "syslog",
            "--type",
            "detect",
            "--input-file",
            options,
        ),
        ("dr", "set", "--key", "r", "--input-file", it.file(rule), "--enabled"),
        ("dr", "disable", "--key", "r"),
        ("hive", "rename", "--hive-name", "dr-general", "--key", "r", "--new-name", "s"),
        ("fp", "set", "--key", "f", "--input-file", it.file({"op": "is", "path": "cat", "value": "x"})),
        ("secret", "set", "--key", "s", "--value", "v"),
        ("extension", "subscribe", "--name", extension),
        ("exfil", "create-event", "--name", "e", "--events", "NEW_PROCESS"),
        ("tag", "add", "--sid", sid, "--tag", "t"),
        ("task", "send", "--sid", sid, "--task", "os_version"),
        ("endpoint-policy", "isolate", "--sid", sid),
        ("endpoint-policy", "rejoin", "--sid", sid),
        ("endpoint-policy", "seal", "--sid", sid, "--confirm"),
    ]


@probe({AUDIT: "events.*.ident events.*.msg events.*.time events.*.origin"})
def every_kind_of_change_is_noted_under_who_made_it(it: Stage) -> None:
    oid, root = it.spare(18).oid, it.world.access.root
    before = it.audit(oid)
    for arguments in _writes(it):
        it.text(*arguments, LC_OID=oid)
        after = it.audit(oid)
        assert after[: len(before)] == before
        added = after[len(before) :]
        assert added, f"{' '.join(arguments)} left no entry"
        assert {row["ident"] for row in added} == {root}
        assert all(row["msg"] and row["origin"] for row in added)
        assert all(row["time"] >= NOW_MS for row in added)
        before = after


@probe({AUDIT: "events.*.ident"})
def a_key_acts_under_its_name(it: Stage) -> None:
    one = it.spare(18)
    key = it.world.access.keys(one)[0]
    it.text(
        "tag",
        "add",
        "--sid",
        it.world.sensor(one, 0).sid,
        "--tag",
        "t",
        LC_OID=one.oid,
        LC_UID="",
        LC_API_KEY=key.secret,
    )
    assert it.audit(one.oid)[-1]["ident"] == key.name


@probe({AUDIT: "events"})
def what_was_refused_or_only_read_is_not_noted(it: Stage) -> None:
    one = it.spare(19)
    before = it.audit(one.oid)
    assert before
    it.json("dr", "list", LC_OID=one.oid)
    assert it.run("dr", "delete", "--key", "nothing", "--confirm", LC_OID=one.oid).code
    assert it.run("output", "delete", "--name", "nothing", "--confirm", LC_OID=one.oid).code
    assert it.audit(one.oid) == before
