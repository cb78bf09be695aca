"""What the official SDK takes to read organizations, used as its documentation shows: one client an
organization, one call after another. Runs in the official client's own environment.

Arguments: uid, key, and the ids of the organizations. Prints seconds and how many calls it made.
"""

import json
import sys
import time

from limacharlie.client import Client  # type: ignore[import-not-found]
from limacharlie.sdk.hive import Hive  # type: ignore[import-not-found]
from limacharlie.sdk.organization import Organization  # type: ignore[import-not-found]

HIVES = (
    "dr-general", "dr-managed", "dr-service", "dr-mail", "fp", "cloud_sensor", "external_adapter",
    "extension_config", "yara", "lookup", "secret", "query", "playbook", "ai_agent", "ai_skill", "ai_memory",
    "ai_cost_model", "sop", "org_notes", "app", "acl", "app_control_policy", "app_control_rule",
    "cloudsec_provider", "cloudsec_policy", "cloudsec_query", "cloudsec_code_rule", "mailsec_provider",
    "mailsec_policy",
)  # fmt: skip


def read(uid: str, key: str, oid: str) -> int:
    """Read everything of one organization that a sync reads; how many calls that took."""
    organization = Organization(Client(oid=oid, uid=uid, api_key=key))
    now = int(time.time()) + 1
    calls = [
        organization.get_info,
        organization.get_quota_usage,
        lambda: organization.get_online_sensors(),
        lambda: list(organization.get_detections(now - 30 * 86_400, now)),
        lambda: list(organization.get_audit_logs(now - 30 * 86_400, now)),
        organization.get_user_permissions,
        organization.get_api_keys,
        lambda: list(organization.list_sensors()),
        organization.get_errors,
        organization.get_stats,
        organization.get_outputs,
        organization.get_installation_keys,
        organization.get_subscriptions,
        lambda: organization.client.request("GET", f"orgs/{oid}/resources"),
        *(
            lambda name=name: organization.service_request(name, {"action": "list_rules"})
            for name in ("logging", "exfil", "integrity", "yara")
        ),
        *(lambda name=name: Hive(organization, name).list() for name in HIVES),
    ]
    for call in calls:
        call()
    return len(calls)


if __name__ == "__main__":
    _, uid, key, *oids = sys.argv
    began = time.perf_counter()
    calls = sum(read(uid, key, oid) for oid in oids)
    print(json.dumps({"seconds": time.perf_counter() - began, "calls": calls}))
