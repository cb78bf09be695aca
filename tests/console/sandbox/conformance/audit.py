"""What the audit log tells."""

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import END, START, Stage

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
