"""Permissions and roles as the sandbox grants them.

Names as in LimaCharlie's permission reference (docs/8-reference/permissions.md); the lists behind the
roles are not published and are read from their descriptions.
"""


def _family(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{what}" for what in ("get", "set", "del", "get.mtd", "set.mtd"))


_FAMILIES = (
    "secret", "lookup", "model", "query", "yara", "ai_agent", "cloudsensor", "playbook", "sop", "org_notes",
    "app", "externaladapter", "ai_skill", "ai_memory", "cloudsec_provider", "mailsec_provider",
)  # fmt: skip

ALL: tuple[str, ...] = (
    "org.get", "org.del", "org.set_quota", "org.conf.get", "org.conf.set",
    "apikey.ctrl", "user.ctrl", "billing.ctrl", "acl.get", "acl.set",
    "sensor.list", "sensor.get", "sensor.task", "sensor.del", "sensor.tag",
    "module.update", "payload.ctrl", "payload.use", "ikey.list", "ikey.set", "ikey.del", "ingestkey.ctrl",
    "dr.list", "dr.set", "dr.del", "dr.list.managed", "dr.set.managed", "dr.del.managed",
    "dr.list.service", "fp.ctrl",
    *(permission for family in _FAMILIES for permission in _family(family)),
    "ai_agent.exec", "ai_agent.operate",
    "ext.request", *_family("ext.conf"), "ext.sub", "ext.sub.mtd", "replicant.get", "replicant.ctrl",
    "insight.list", "insight.ctrl", "insight.del", "insight.evt.get", "insight.evt.get.simple",
    "insight.det.get", "insight.stat", "insight.obj.get",
    "audit.get", "audit.set", "job.get", "job.ctrl", "output.list", "output.set", "output.del",
    "investigation.get", "investigation.set",
    "cloudsec.get", "cloudsec.set", "cloudsec.respond",
    "mailsec.get", "mailsec.set", "mailsec.act", "mailsec.get.eml",
)  # fmt: skip
"""Everything an owner holds, in the order of the reference."""

_KNOWN = frozenset((*ALL, "dr.set.service", "dr.del.service"))


def is_permission(name: str) -> bool:
    """Whether it can be granted: one of the reference, or one of a hive's for a single record
    (`secret.get.my-key`); the `acl` ones have no such form."""
    if name in _KNOWN:
        return True
    return not name.startswith("acl.") and any(
        name.startswith(f"{family}.{verb}.") and len(name) > len(family) + len(verb) + 2
        for family in (*_FAMILIES, "ext.conf")
        for verb in ("get", "set", "del", "get.mtd", "set.mtd")
    )


VIEWER: tuple[str, ...] = (
    *(
        permission
        for permission in ALL
        if permission.endswith((".get", ".get.mtd", ".list", ".get.simple"))
        and permission
        not in ("secret.get", "acl.get", "audit.get", "output.list", "ikey.list", "mailsec.get")
    ),
    "insight.stat",
)

OPERATOR: tuple[str, ...] = (
    "audit.get", "dr.del", "dr.list", "dr.list.managed", "dr.set", "ext.conf.get", "ext.conf.get.mtd",
    "ext.request", "fp.ctrl", "ikey.list", "insight.det.get", "insight.evt.get",
    "insight.evt.get.simple", "insight.list", "insight.stat", "investigation.get", "investigation.set",
    "job.ctrl", "job.get", "lookup.del", "lookup.get", "lookup.get.mtd", "lookup.set", "lookup.set.mtd",
    "org.conf.get", "org.get", "org_notes.get", "org_notes.get.mtd", "output.list", "playbook.get",
    "playbook.get.mtd", "query.del", "query.get", "query.get.mtd", "query.set", "query.set.mtd",
    "replicant.get", "sensor.del", "sensor.get", "sensor.list", "sensor.tag", "sensor.task", "sop.get",
    "sop.get.mtd", "yara.del", "yara.get", "yara.get.mtd", "yara.set", "yara.set.mtd",
)  # fmt: skip

ROLES: dict[str, tuple[str, ...]] = {
    "Owner": ALL,
    "Administrator": tuple(name for name in ALL if name not in ("apikey.ctrl", "billing.ctrl")),
    "Operator": OPERATOR,
    "Viewer": VIEWER,
    "Basic": ("org.get", "sensor.list"),
}

SOC_L1: tuple[str, ...] = (
    "org.get", "org.conf.get", "sensor.list", "sensor.get", "insight.list", "insight.evt.get",
    "insight.det.get", "insight.stat", "insight.obj.get", "dr.list", "query.get", "query.get.mtd",
    "lookup.get", "lookup.get.mtd", "sop.get", "sop.get.mtd", "org_notes.get", "org_notes.get.mtd",
    "investigation.get", "investigation.set", "job.get", "ext.request",
)  # fmt: skip
SOC_L2: tuple[str, ...] = (
    *SOC_L1, "sensor.tag", "sensor.task", "fp.ctrl", "audit.get", "query.set", "query.set.mtd",
    "dr.list.managed", "lookup.set", "playbook.get", "playbook.get.mtd", "job.ctrl",
)  # fmt: skip
RESPONDERS: tuple[str, ...] = (
    "org.get", "sensor.list", "sensor.get", "sensor.task", "sensor.tag", "insight.evt.get",
    "insight.det.get", "insight.obj.get", "payload.use", "payload.ctrl", "job.get", "job.ctrl",
    "ext.request", "investigation.get", "investigation.set", "yara.get", "yara.set",
)  # fmt: skip
ENGINEERS: tuple[str, ...] = (
    "org.get", "org.conf.get", "sensor.list", "sensor.get", "insight.evt.get", "insight.det.get",
    "insight.stat", "dr.list", "dr.set", "dr.del", "dr.list.managed", "dr.set.managed", "dr.del.managed",
    "fp.ctrl", *_family("lookup"), *_family("yara"), *_family("query"), "ext.conf.get", "ext.conf.set",
    "ext.conf.get.mtd", "ext.conf.set.mtd", "ext.request", "ext.sub.mtd", "output.list", "audit.get",
    "secret.get.mtd",
)  # fmt: skip
REPORTING: tuple[str, ...] = (
    "org.get", "sensor.list", "insight.det.get", "insight.stat", "investigation.get", "audit.get", "dr.list",
)  # fmt: skip
