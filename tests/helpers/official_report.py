"""Run by the official client's Python: what it answers of every organization for a month, as one JSON object.

python official_report.py SINCE UNTIL        (seconds, UTC; the oids on standard input)
"""

import json
import sys

from limacharlie.client import Client
from limacharlie.sdk.cases import Cases
from limacharlie.sdk.organization import Organization

since, until = int(sys.argv[1]), int(sys.argv[2])
found = {}
for oid in json.load(sys.stdin):
    organization = Organization(Client(oid=oid))
    try:
        detections = [
            {
                "time": each.get("gen_time") or each.get("ts"),
                "cat": each.get("cat", ""),
                "host": (each.get("routing") or {}).get("hostname", ""),
                "level": (each.get("detect_mtd") or {}).get("level"),
                "priority": each.get("priority"),
            }
            for each in organization.get_detections(since, until)
        ]
        cases, token = [], None
        try:
            while True:
                page = Cases(organization).list_cases(page_size=200, page_token=token)
                cases += page.get("cases", [])
                token = page.get("next_page_token")
                if not token:
                    break
        except Exception as error:
            if "subscribed" not in str(error).lower() and "extension" not in str(error).lower():
                raise
            cases = None
        found[oid] = {
            "detections": detections,
            "cases": cases,
            "sensors": [
                {"plat": each.get("plat"), "alive": each.get("alive"), "enroll": each.get("enroll")}
                for each in organization.list_sensors()
            ],
            "online": len(organization.get_online_sensors()),
            "usage": organization.get_stats()["usage"],
            "quota": organization.get_quota_usage(),
        }
    except Exception as error:
        found[oid] = {"error": str(error)}
json.dump(found, sys.stdout)
