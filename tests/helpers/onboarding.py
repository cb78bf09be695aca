"""Customers in a file, as a provider of two regions would onboard them, and what LimaCharlie has to show of each.

What is expected is written down here beside the file, and nothing of it is worked out by limegrove. It is
looked up by the official client.
"""

import csv
import io
import json
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.console.sandbox.conformance.stage import Official

GROUPS = ("SOC L1", "Reporting")
TREE = """\
- {id: root, parent: null, name: Provider}
- {id: europe, parent: root, name: Europe, parameters: {siem_host: siem.europe.example}}
- {id: americas, parent: root, name: Americas, parameters: {siem_host: siem.americas.example}}
"""
TEMPLATES = {
    "base.yaml": """\
version: 3
limegrove: {parameters: {siem_host: {type: string, required: true}}}
extensions: [ext-exfil]
outputs:
  siem: {module: syslog, for: detect, dest_host: "${siem_host}:6514", is_tls: "true"}
hives:
  fp:
    scanner: {data: {op: is, path: cat, value: "Scan of ${organization}"}, usr_mtd: {enabled: true, tags: [base]}}
""",
    "edr.yaml": """\
version: 3
hives:
  dr-general:
    shadow-copies:
      data:
        detect: {event: NEW_PROCESS, op: contains, path: event/COMMAND_LINE, value: delete shadows}
        respond: [{action: report, name: Shadow copies deleted, priority: 8}]
      usr_mtd: {enabled: true, comment: edr}
""",
}

FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "status", "status": 500, "probability": 0.008},
    {"fault": "status", "status": 503, "effect": True, "probability": 0.008},
    {"fault": "status", "status": 504, "probability": 0.006},
    {"fault": "drop", "probability": 0.008},
    {"fault": "drop", "effect": True, "probability": 0.008},
    {"fault": "body", "body": "html", "probability": 0.004},
    {"fault": "body", "body": "half", "effect": True, "probability": 0.004},
    {"fault": "throttle", "seconds": 0.05, "probability": 0.004},
)
"""Together five in a hundred, half of them after the effect."""


@dataclass(frozen=True)
class Customer:
    """One line of the file."""

    number: int
    shared: str
    """The provider's account that owns some of them."""

    @property
    def name(self) -> str:
        """Names of several scripts; no two are alike."""
        word = ("Acme", "Bor\u00e9al", "Cedar & S\u00f8n", "\u6771\u4eac", "O'Delta")[self.number % 5]
        return f"{word} {self.number:03d}"

    @property
    def slug(self) -> str:
        """For addresses."""
        return f"c{self.number:03d}"

    @property
    def cells(self) -> dict[str, str]:
        """The line."""
        n = self.number
        return {
            "name": self.name,
            "region": ("europe", "usa")[n % 2],
            "node": ("Europe", "americas")[n % 2],
            "id": self.slug if n % 3 == 0 else "",
            "tier": ("gold", "silver")[n % 2],
            "parameters": "weight=2" if n % 4 == 0 else "",
            "marks": "canary" if n % 20 == 0 else "",
            "sla": "critical=10m/2h" if n % 2 == 0 else "",
            "quota": str(10 + n),
            "templates": "edr" if n % 2 == 0 else "",
            "groups": "; ".join(GROUPS if n % 3 else GROUPS[:1]),
            "owners": self.shared if n % 5 == 0 else "",
            "users": f"it@{self.slug}.example:Viewer" + (f";ciso@{self.slug}.example:Basic" if n % 2 else ""),
            "installation_keys": "windows;linux:server+prod" if n % 2 else "macos",
            "extensions": "ext-cases" if n % 4 else "",
            "outputs": f"hook webhook audit dest_host=https://{self.slug}.example/in" if n % 3 == 1 else "",
            "contacts": f"Kim {n}|CISO|kim@{self.slug}.example|'+49 30 {n:06d}",
            "time_zone": "Europe/Berlin" if n % 2 == 0 else "",
        }

    @property
    def wanted(self) -> dict[str, Any]:
        """What the official client has to say of it."""
        n = self.number
        keys = {"windows": ["windows"], "linux": ["prod", "server"]} if n % 2 else {"macos": ["macos"]}
        outputs = {
            "siem": {"module": "syslog", "for": "detect", "is_tls": "true",
                     "dest_host": f"siem.{('europe', 'americas')[n % 2]}.example:6514"},
        }  # fmt: skip
        if n % 3 == 1:
            outputs["hook"] = {
                "module": "webhook", "for": "audit", "dest_host": f"https://{self.slug}.example/in",
            }  # fmt: skip
        return {
            "region": ("europe", "usa")[n % 2],
            "quota": 10 + n,
            "users": sorted(
                [f"it@{self.slug}.example"]
                + ([f"ciso@{self.slug}.example"] if n % 2 else [])
                + ([self.shared] if n % 5 == 0 else [])
            ),
            "keys": keys,
            "outputs": outputs,
            "extensions": ["ext-exfil", *(["ext-cases"] if n % 4 else [])],
            "fp": {"scanner": ({"op": "is", "path": "cat", "value": f"Scan of {self.name}"}, True, ["base"])},
            "rules": {"shadow-copies": (True, "edr")} if n % 2 == 0 else {},
            "groups": sorted(GROUPS if n % 3 else GROUPS[:1]),
        }


def file_of(customers: list[Customer]) -> bytes:
    """The file, as a spreadsheet writes it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(customers[0].cells))
    writer.writeheader()
    writer.writerows(each.cells for each in customers)
    return out.getvalue().encode("utf-8-sig")


def faults(url: str, *rules: dict[str, Any], method: str = "POST") -> list[dict[str, Any]]:
    """Add faults (POST), end them (DELETE), or ask how often each was applied (GET)."""
    request = urllib.request.Request(
        f"{url}/sandbox/faults", data=json.dumps(list(rules)).encode() if rules else None, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer).get("faults", [])
    return found


class Told:
    """The official client in front of a sandbox."""

    def __init__(self, stage: dict[str, Any], home: Path) -> None:
        self._official = Official(stage["url"], home)
        self._variables = {"LC_UID": stage["uid"], "LC_API_KEY": stage["api_key"]}
        self._any = stage["oids"][0]

    def close(self) -> None:
        """End it."""
        self._official.close()

    def sdk(self, expression: str, oid: str = "") -> Any:
        """What it answers."""
        answer = self._official.ask(
            env=self._variables | {"LC_OID": oid or self._any}, expression=expression, names={}
        )
        assert "value" in answer, (expression, answer)
        return answer["value"]

    def organizations(self) -> Counter[tuple[str, str]]:
        """(name, oid) of all, each as often as it is listed."""
        found = self.sdk("org.list_accessible_orgs()")
        return Counter((found["names"][oid], oid) for oid in found["orgs"])

    def groups(self) -> dict[str, list[str]]:
        """Names of the groups, by organization."""
        found: dict[str, list[str]] = {}
        for row in self.sdk("Groups(org).list()"):
            group = self.sdk(f"Groups(org).get({row['gid']!r})")["group"]
            for each in group["orgs"]:
                found.setdefault(each["org_id"], []).append(group["name"])
        return {oid: sorted(names) for oid, names in found.items()}

    def organization(self, oid: str, groups: dict[str, list[str]], root: str) -> dict[str, Any]:
        """One organization, in the form of `Customer.wanted`."""
        records = {hive: self.sdk(f"Hive(org, {hive!r}).list()", oid) for hive in ("fp", "dr-general")}
        keys = self.sdk("org.get_installation_keys()", oid)
        assert len({key["desc"] for key in keys.values()}) == len(keys), "an installation key is there twice"
        outputs = self.sdk("org.get_outputs()", oid)
        return {
            "region": self.sdk("org.get_urls()", oid)["region_code"],
            "quota": self.sdk("org.get_info()", oid)["sensor_quota"],
            "users": sorted(who for who in self.sdk("org.get_user_permissions()", oid) if who != root),
            "keys": {key["desc"]: sorted(key["tags"].split(",")) for key in keys.values()},
            "outputs": {
                name: {option: value for option, value in held.items() if value and option != "name"}
                for name, held in outputs.items()
            },
            "extensions": sorted(self.sdk("Extensions(org).list_subscribed()", oid), reverse=True),
            "fp": {
                name: (held["data"], held["enabled"], held["tags"]) for name, held in records["fp"].items()
            },
            "rules": {
                name: (held["enabled"], held["comment"]) for name, held in records["dr-general"].items()
            },
            "groups": groups.get(oid, []),
        }
