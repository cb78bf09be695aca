"""Train the dictionary with which `store.bodies` packs detections: `python -m benchmarks.dictionary`.

It learns from text that nobody owns: what the sandbox invents under seeds of its own, and events as
LimaCharlie documents them, with invented values. Never from a customer's: what a dictionary holds ships with
the program. A new one gets a new number, and the old ones stay, for what they packed has to be read.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import zstandard

import store
from console.sandbox.world import World

SEEDS = range(9_001, 9_005)
EACH = 15_000
"""Detections of each seed."""
DOCUMENTED = 12_000
SIZE = 262_144
NOW = 1_795_900_000_000


def samples() -> list[bytes]:
    """What is learnt from."""
    found = [sample for seed in SEEDS for sample in _invented(seed)]
    chance = random.Random(9_000)
    found += [_pack_ready(_documented(chance)) for _ in range(DOCUMENTED)]
    chance.shuffle(found)
    return found


def _pack_ready(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _invented(seed: int) -> list[bytes]:
    world = World(seed=seed, detections=EACH, now_ms=NOW)
    return [
        _pack_ready(world.detections.detection(index, number))
        for index, organization in enumerate(world.organizations)
        for number in range(organization.detections)
    ]


def _documented(chance: random.Random) -> dict[str, Any]:
    """A detection on one of the events of LimaCharlie's documentation ("EDR Events", "Detections")."""

    def digits(count: int) -> str:
        return chance.randbytes(count // 2).hex()

    def uuid() -> str:
        text = digits(32)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"

    def address() -> str:
        return chance.choice(("10.{}.{}.{}", "192.168.{}.{}", "203.0.113.{}", "198.51.100.{}")).format(
            *(chance.randrange(256) for _ in range(3))
        )

    user = chance.choice(
        ("NT AUTHORITY\\SYSTEM", "root", "CORP\\svc-app", "CORP\\a.person", "a.person@corp.example")
    )
    program = chance.choice(
        ("C:\\Windows\\System32\\svchost.exe", "C:\\Windows\\explorer.exe", "/usr/bin/bash", "/usr/sbin/sshd",
         "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe", "/usr/bin/python3", "/bin/zsh",
         "C:\\Windows\\System32\\rundll32.exe", "C:\\Windows\\System32\\wscript.exe")
    )  # fmt: skip
    process = {
        "BASE_ADDRESS": chance.randrange(2**40), "COMMAND_LINE": program, "CREATION_TIME": NOW + chance.randrange(10**9),
        "FILE_IS_SIGNED": 1, "FILE_PATH": program, "HASH": digits(64), "MEMORY_USAGE": chance.randrange(10**8),
        "PARENT_ATOM": digits(32), "PARENT_PROCESS_ID": chance.randrange(30_000), "PROCESS_ID": chance.randrange(30_000),
        "THIS_ATOM": digits(32), "THREADS": chance.randrange(90), "TIMESTAMP": NOW + chance.randrange(10**9),
        "USER_NAME": user,
    }  # fmt: skip
    connection = {
        "DESTINATION": {"IP_ADDRESS": address(), "PORT": chance.choice((80, 443, 445, 3389, 8080))},
        "IS_OUTGOING": 1, "PROTOCOL": "tcp4", "SOURCE": {"IP_ADDRESS": address(), "PORT": chance.randrange(65_536)},
        "TIMESTAMP": NOW + chance.randrange(10**9),
    }  # fmt: skip
    log = {
        "EVENT": {
            "EventData": {
                "CommandLine": program, "IpAddress": address(), "LogonType": "3", "NewProcessName": program,
                "ParentProcessName": program, "ProcessId": "0x1f4", "SubjectDomainName": "CORP", "SubjectLogonId": "0x3e7",
                "SubjectUserName": user, "SubjectUserSid": "S-1-5-18", "TargetDomainName": "CORP", "TargetUserName": user,
                "WorkstationName": "WS-01",
            },
            "System": {
                "Channel": chance.choice(("Security", "System", "Microsoft-Windows-Sysmon/Operational")),
                "Computer": "ws-01.corp.example", "Correlation": "", "EventID": chance.choice(("4624", "4688", "7045", "1")),
                "EventRecordID": digits(6), "Execution": {"ProcessID": "4", "ThreadID": "8"}, "Keywords": "0x8020000000000000",
                "Level": "0", "Opcode": "0",
                "Provider": {"Guid": "{54849625-5478-4994-a5ba-3e3b0328c30d}", "Name": "Microsoft-Windows-Security-Auditing"},
                "Task": "12544", "TimeCreated": {"SystemTime": "2026-01-01T00:00:00.0000000Z"}, "Version": "2",
                "_event_id": "4624",
            },
        }
    }  # fmt: skip
    kinds: dict[str, Any] = {
        "NEW_PROCESS": process | {"PARENT": process},
        "EXISTING_PROCESS": process,
        "TERMINATE_PROCESS": {"PROCESS_ID": process["PROCESS_ID"], "TIMESTAMP": process["TIMESTAMP"]},
        "NETWORK_CONNECTIONS": process | {"NETWORK_ACTIVITY": [connection, connection]},
        "NEW_TCP4_CONNECTION": connection | {"PROCESS_ID": process["PROCESS_ID"], "STATE": 5},
        "DNS_REQUEST": {
            "CNAME": "edge.cdn.example", "DNS_FLAGS": 0, "DNS_TYPE": 5, "DOMAIN_NAME": "www.service.example",
            "IP_ADDRESS": address(), "MESSAGE_ID": chance.randrange(65_536), "PROCESS_ID": process["PROCESS_ID"],
            "TIMESTAMP": process["TIMESTAMP"],
        },
        "CODE_IDENTITY": {
            "ERROR": 0, "FILE_INFO": "10.0.1.1", "FILE_IS_SIGNED": 1, "FILE_PATH": program, "HASH": digits(64),
            "HASH_MD5": digits(32), "HASH_SHA1": digits(40), "ORIGINAL_FILE_NAME": "app.exe",
            "SIGNATURE": {
                "CERT_CHAIN_STATUS": 124, "CERT_ISSUER": "C=US, O=Issuer, CN=Code Signing CA", "CERT_SUBJECT": "C=US, O=Vendor",
                "FILE_CERT_IS_VERIFIED_GLOBAL": 1, "FILE_CERT_IS_VERIFIED_LOCAL": 1, "FILE_IS_SIGNED": 1, "FILE_PATH": program,
            },
            "TIMESTAMP": process["TIMESTAMP"],
        },
        "MODULE_LOAD": {
            "BASE_ADDRESS": chance.randrange(2**40), "FILE_IS_SIGNED": 1, "FILE_PATH": program, "HASH": digits(64),
            "MEMORY_SIZE": chance.randrange(10**7), "MODULE_NAME": "app.dll", "PROCESS_ID": process["PROCESS_ID"],
        },
        "FILE_CREATE": {"FILE_PATH": program, "PROCESS_ID": process["PROCESS_ID"], "TIMESTAMP": process["TIMESTAMP"]},
        "FIM_HIT": {"FILE_PATH": "/etc/passwd", "PROCESS": process, "REGISTRY_KEY": ""},
        "REGISTRY_WRITE": {
            "PROCESS_ID": process["PROCESS_ID"], "REGISTRY_KEY": "\\REGISTRY\\MACHINE\\SOFTWARE\\Microsoft\\Windows",
            "REGISTRY_VALUE": "value", "SIZE": 64, "TIMESTAMP": process["TIMESTAMP"], "TYPE": 1,
        },
        "SENSITIVE_PROCESS_ACCESS": {"EVENTS": [{"event": process, "routing": {"event_type": "NEW_PROCESS"}}]},
        "YARA_DETECTION": {"FILE_PATH": program, "HASH": digits(64), "PROCESS": process, "RULE_NAME": "rule"},
        "USER_LOGIN": {"TIMESTAMP": process["TIMESTAMP"], "USER_NAME": user},
        "HTTP_REQUEST": {"PARENT": process, "URL": "https://www.service.example/download"},
        "WEL": log,
    }  # fmt: skip
    kind = chance.choice([*kinds])
    oid, sid, moment = uuid(), uuid(), NOW + chance.randrange(10**9)
    routing = {
        "arch": 2, "did": uuid(), "event_id": uuid(), "event_time": moment, "event_type": kind, "ext_ip": address(),
        "hostname": "ws-01.corp.example", "iid": uuid(), "int_ip": address(), "latency": 12, "moduleid": 2, "oid": oid,
        "parent": digits(32), "plat": chance.choice((268435456, 536870912, 805306368)), "sid": sid,
        "tags": ["windows", "servers"], "this": digits(32),
    }  # fmt: skip
    return {
        "author": "_ext-detections", "cat": "Suspicious activity",
        "detect": {"event": kinds[kind], "routing": routing, "ts": "2026-01-01 00:00:00"}, "detect_data": {},
        "detect_id": uuid(),
        "detect_mtd": {
            "author": "detections", "description": "What the rule looks for.", "falsepositives": ["Unknown"],
            "level": chance.choice(("low", "medium", "high", "critical")),
            "references": ["https://attack.mitre.org/techniques/T1059/"], "tags": ["attack.execution", "attack.t1059"],
        },
        "gen_time": moment, "link": f"https://app.limacharlie.io/orgs/{oid}/sensors/{sid}/timeline?time={moment // 1000}",
        "mtd": None, "namespace": chance.choice(("general", "managed", "service")), "priority": chance.randrange(11),
        "routing": routing, "rule_tags": ["attack.t1059"], "source": f"{oid}.{uuid()}.{sid}.10000000.2",
        "source_rule": "service.rule-name", "ts": moment // 1000,
    }  # fmt: skip


def main() -> int:
    """Write the newest dictionary anew; it is the same byte for byte as long as zstd is."""
    from store.bodies import NEWEST

    trained = zstandard.train_dictionary(SIZE, samples(), k=2_000, d=8, threads=1).as_bytes()
    path = Path(store.__file__).parent / f"bodies-{NEWEST}.zdict"
    path.write_bytes(trained)
    print(f"{path.name}: {len(trained):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
