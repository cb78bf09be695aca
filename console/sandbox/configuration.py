"""What is deployed in each organization: rules, outputs, extensions, keys and all other sections.

Bodies are shared by most organizations, as templates leave them; what differs, differs on purpose: drift,
a customer's own records, secrets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from console.sandbox import names, rules, snapshot
from console.sandbox.access import Access
from console.sandbox.chance import Chance, hex_of, uuid_of
from console.sandbox.detections import variant
from console.sandbox.organizations import DAY, Organization
from console.sandbox.rules import BAD_DOMAINS, BASELINE, Value
from console.sandbox.sensors import OFFICE365, TEXT, installation_key_ids, layout

HIVES: frozenset[str] = frozenset(
    (
        "dr-general", "dr-managed", "dr-service", "dr-mail", "fp", "cloud_sensor", "external_adapter",
        "extension_config", "yara", "lookup", "secret", "query", "playbook", "ai_agent", "ai_skill",
        "ai_memory", "ai_cost_model", "sop", "org_notes", "app", "acl", "app_control_policy",
        "app_control_rule", "cloudsec_provider", "cloudsec_policy", "cloudsec_query",
        "cloudsec_code_rule", "mailsec_provider", "mailsec_policy", "model", "note",
    )
)  # fmt: skip
"""As the official client 5.10.1 lists them; there is no endpoint that does."""

_PREFIX = {
    "cloud_sensor": "cloudsensor", "external_adapter": "externaladapter", "extension_config": "ext.conf",
    "note": "org_notes", "acl": "acl", "ai_cost_model": "ai_agent",
}  # fmt: skip


def needed(hive: str, act: str) -> tuple[str, ...]:
    """The permissions of which one is needed.

    Args:
        act: get, get.mtd, set, set.mtd or del.
    """
    if hive in ("dr-general", "dr-managed", "dr-service", "dr-mail"):
        verb = {"get": "list", "get.mtd": "list", "set": "set", "set.mtd": "set", "del": "del"}[act]
        ending = {"dr-general": "", "dr-managed": ".managed", "dr-service": ".service", "dr-mail": ""}[hive]
        return (f"dr.{verb}{ending}",)
    if hive == "fp":
        return ("fp.ctrl",)
    if hive.startswith(("cloudsec_", "mailsec_", "app_control")) and not hive.endswith("_provider"):
        family = hive.split("_", 1)[0] if not hive.startswith("app_") else "cloudsec"
        return (f"{family}.get" if act.startswith("get") else f"{family}.set",)
    prefix = _PREFIX.get(hive, hive)
    if prefix == "acl":
        return ("acl.get" if act.startswith("get") else "acl.set",)
    return (
        (f"{prefix}.{act}", f"{prefix}.{act.removesuffix('.mtd')}")
        if act.endswith(".mtd")
        else (f"{prefix}.{act}",)
    )


_FP: dict[str, Value] = {
    "printer-assist-updater": {
        "op": "and",
        "rules": [
            {"op": "is", "path": "cat", "value": "Scheduled task from a temp directory"},
            {
                "op": "contains",
                "path": "detect/event/COMMAND_LINE",
                "value": "PrinterAssist",
                "case sensitive": False,
            },
        ],
    },
    "helpdesk-remote-sessions": {
        "op": "and",
        "rules": [
            {"op": "is", "path": "cat", "value": "Remote access tool installed by a user"},
            {
                "op": "starts with",
                "path": "detect/event/USER_NAME",
                "value": "HELPDESK\\",
                "case sensitive": False,
            },
        ],
    },
    "deploy-user-keys": {
        "op": "and",
        "rules": [
            {"op": "is", "path": "cat", "value": "SSH authorized_keys changed"},
            {"op": "is", "path": "detect/event/FILE_PATH", "value": "/home/deploy/.ssh/authorized_keys"},
        ],
    },
}

LOOKUPS: dict[str, Value] = {
    "bad-domains": {"newline_content": "\n".join(BAD_DOMAINS)},
    "vulnerable-drivers": {
        "lookup_data": {
            hex_of("binary", f"C:\\Windows\\System32\\drivers\\{name}", length=64): {
                "name": name,
                "source": "provider list",
            }
            for name in ("rtcore64.sys", "gdrv.sys", "kprocesshacker.sys", "capcom.sys")
        }
    },
    "approved-scanners": {
        "lookup_data": {rules.SCANNER_HASH: {"product": "Inventory Scanner", "owner": "IT operations"}}
    },
}

QUERIES: dict[str, Value] = {
    "powershell-last-day": {
        "query": "-24h | plat == windows | NEW_PROCESS | event/FILE_PATH ends with 'powershell.exe'",
        "stream": "event",
    },
    "new-remote-tools": {
        "query": "-7d | plat == windows | NEW_PROCESS | event/FILE_PATH contains 'anydesk'",
        "stream": "event",
    },
    "critical-detections": {"query": "-24h | * | * | detect_mtd/level == 'critical'", "stream": "detect"},
}

YARA: dict[str, Value] = {
    "packed-dropper": {
        "rule": (
            'rule packed_dropper\n{\n  meta:\n    author = "Northlight"\n  strings:\n    $a = "UPX!"\n'
            '    $b = "IsDebuggerPresent"\n  condition:\n    uint16(0) == 0x5a4d and all of them\n}\n'
        )
    },
    "php-web-shell": {
        "rule": (
            'rule php_web_shell\n{\n  strings:\n    $a = "eval(base64_decode("\n'
            "  condition:\n    $a and filesize < 100KB\n}\n"
        )
    },
}

SOPS: dict[str, Value] = {
    "encoded-powershell": {
        "description": "Encoded PowerShell download",
        "text": (
            "1. Decode the command.\n2. Look at the parent: mail client or Office means phishing.\n"
            "3. Isolate when it reached out.\n"
        ),
    },
    "impossible-travel": {
        "description": "Impossible travel sign-in",
        "text": (
            "1. Ask the contact whether the user travels.\n2. Revoke sessions.\n3. Look for inbox rules.\n"
        ),
    },
}

_EXFIL: Value = {
    "list": {
        f"default-{name}": {"events": events, "filters": {"platforms": [name], "tags": []}}
        for name, events in {
            "windows": [
                "NEW_PROCESS",
                "NEW_TCP4_CONNECTION",
                "DNS_REQUEST",
                "WEL",
                "REGISTRY_WRITE",
                "DRIVER_CHANGE",
            ],
            "linux": ["NEW_PROCESS", "FIM_HIT", "NEW_TCP4_CONNECTION", "DNS_REQUEST"],
            "macos": ["NEW_PROCESS", "FIM_HIT", "DNS_REQUEST"],
            "chrome": ["HTTP_REQUEST", "DNS_REQUEST"],
        }.items()
    },
    "watch": {
        "wininet-on-servers": {
            "event": "MODULE_LOAD",
            "operator": "ends with",
            "value": "wininet.dll",
            "path": ["FILE_PATH"],
            "filters": {"platforms": ["windows"], "tags": ["server"]},
        }
    },
    "perf": {},
}

_INTEGRITY: Value = {
    "linux-keys": {
        "patterns": ["/root/.ssh/authorized_keys", "/home/*/.ssh/authorized_keys", "/etc/cron.d/*"],
        "filters": {"platforms": ["linux"], "tags": []},
    },
    "macos-launch-agents": {
        "patterns": ["/Users/*/Library/LaunchAgents/*"],
        "filters": {"platforms": ["macos"], "tags": []},
    },
}

_ARTIFACT: Value = {
    "windows-security-log": {
        "patterns": ["wel://Security:*"],
        "filters": {"platforms": ["windows"], "tags": []},
        "days_retention": 30,
        "is_delete_after": False,
        "is_ignore_cert": False,
    },
    "linux-auth": {
        "patterns": ["/var/log/auth.log"],
        "filters": {"platforms": ["linux"], "tags": []},
        "days_retention": 30,
        "is_delete_after": False,
        "is_ignore_cert": False,
    },
}

_YARA_SCANS: Value = {
    "scan-droppers": {"sources": ["packed-dropper"], "filters": {"platforms": ["windows"], "tags": []}},
}

_DEFINITIONS: dict[str, str] = {
    "ext-artifact": "Collects files and Windows events from endpoints",
    "ext-cases": "Cases over detections",
    "ext-exfil": "Which events endpoints send",
    "ext-git-sync": "Configuration from and to a repository",
    "ext-infrastructure": "Infrastructure as code",
    "ext-integrity": "File and registry integrity monitoring",
    "ext-lookup-manager": "Keeps lookups up to date",
    "ext-reliable-tasking": "Tasks for endpoints that are away",
    "ext-sensor-cull": "Removes sensors that were not seen for long",
    "ext-usage-alerts": "Alerts on usage",
    "ext-velociraptor": "Hunts with Velociraptor",
    "ext-yara": "Scans with YARA",
    "ext-yara-manager": "Keeps YARA rules up to date",
    "payload-manager": "Keeps payloads up to date",
}


def definitions() -> list[Value]:
    """The extensions that exist (`GET extension/definition`)."""
    return [
        {
            "name": name,
            "short_description": text,
            "owner_oid": "00000000-0000-4000-8000-000000000001",
            "required_extensions": [],
            "is_public": True,
        }
        for name, text in sorted(_DEFINITIONS.items())
    ]


SERVICES: dict[str, tuple[str, str]] = {
    "exfil": ("ext-exfil", "exfil_rules"),
    "integrity": ("ext-integrity", "fim_rules"),
    "logging": ("ext-artifact", "log_rules"),
    "yara": ("ext-yara", "yara_scanners"),
}
"""The older services: the extension that took the place of each, and where its record holds the rules."""


V = TypeVar("V")


def _merged(seeded: Mapping[str, V | None], changed: Mapping[str, V | None]) -> dict[str, V]:
    """What the seed decides under what somebody changed, without what was taken away."""
    return {name: value for name, value in {**seeded, **changed}.items() if value is not None}


def _expired(record: Value, moment: int) -> bool:
    expiry: int = record["usr_mtd"].get("expiry", 0)
    return 0 < expiry <= moment


EXTENSIONS = (
    "ext-artifact", "ext-exfil", "ext-infrastructure", "ext-integrity", "ext-lookup-manager",
    "ext-reliable-tasking",
)  # fmt: skip
"""What every organization is subscribed to."""
MANAGED_EXTENSIONS = ("ext-cases", "ext-yara")
"""What silver and gold have beyond that."""
GOLD_EXTENSIONS = ("ext-usage-alerts", "ext-yara-manager")

_SLA = {tier: sla for tier, _, sla, _ in names.TIERS}


@dataclass(slots=True)
class _Changes:
    """What somebody changed in one organization. None, False and "" stand for taken away."""

    extensions: dict[str, bool] = field(default_factory=dict)
    resources: dict[tuple[str, str], bool] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Value | None] = field(default_factory=dict)
    installation_keys: dict[str, Value | None] = field(default_factory=dict)
    ingestion_keys: dict[str, str | None] = field(default_factory=dict)
    yara_sources: dict[str, str | None] = field(default_factory=dict)
    records: dict[str, dict[str, Value | None]] = field(default_factory=dict)
    stamps: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """Who set a rule of an older service, and when (ms)."""


_NOTHING = _Changes()


def _resumed(kept: snapshot.Configured) -> _Changes:
    """Raises BadSnapshot for what is none of its kind."""
    where = "configuration.changes"
    for name, output in kept.outputs.items():
        if output is not None:
            found = snapshot.shaped(snapshot.Output, output, f"{where}.outputs")
            if found.name != name:
                raise snapshot.BadSnapshot(f"{where}.outputs: an output stands below another's name")
    for iid, key in kept.installation_keys.items():
        if (
            key is not None
            and snapshot.shaped(snapshot.InstallationKey, key, f"{where}.installation_keys").iid != iid
        ):
            raise snapshot.BadSnapshot(f"{where}.installation_keys: a key stands below another's iid")
    for hive, records in kept.records.items():
        if hive not in HIVES:
            raise snapshot.BadSnapshot(f"{where}.records: there is no hive {hive[:64]}")
        for record in records.values():
            if record is not None:
                snapshot.shaped(snapshot.Stored, record, f"{where}.records.{hive}")
    for service, *_ in kept.stamps:
        if service not in SERVICES:
            raise snapshot.BadSnapshot(f"{where}.stamps: there is no service {service[:64]}")
    return _Changes(
        extensions=kept.extensions,
        resources={(category, name): on for category, name, on in kept.resources},
        values=kept.values,
        outputs=kept.outputs,
        installation_keys=kept.installation_keys,
        ingestion_keys=kept.ingestion_keys,
        yara_sources=kept.yara_sources,
        records=kept.records,
        stamps={(service, name): (by, moment) for service, name, by, moment in kept.stamps},
    )


class Configuration:
    """The configuration of every organization: what the seed decides, and what somebody changed over it."""

    def __init__(
        self,
        seed: int,
        access: Access,
        now: int,
        failing: int | None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Prepare.

        Args:
            now: seconds, UTC.
            failing: index of the organization whose SIEM output fails.
            clock: the world's time in milliseconds, by which records expire; None stands still at `now`.
        """
        self._seed = seed
        self._access = access
        self._now = now
        self.failing = failing
        self._clock = clock or (lambda: now * 1000)
        self.hives: Callable[[Organization], dict[str, dict[str, Value]]] = lru_cache(maxsize=64)(self._hives)
        self._changes: dict[int, _Changes] = {}
        self._writes = 0
        self.definitions: dict[str, Value] = {each["name"]: each for each in definitions()}
        """The extensions that exist, by name."""

    def kept(self, places: snapshot.Places) -> snapshot.Configuration:
        """What a snapshot keeps of it."""
        return snapshot.Configuration(
            writes=self._writes,
            definitions={
                name: each for name, each in sorted(self.definitions.items()) if name not in _DEFINITIONS
            },
            changes=places.named(
                {
                    index: snapshot.Configured(
                        extensions=dict(sorted(one.extensions.items())),
                        resources=[(*key, on) for key, on in one.resources.items()],
                        values=one.values,
                        outputs=one.outputs,
                        installation_keys=one.installation_keys,
                        ingestion_keys=one.ingestion_keys,
                        yara_sources=one.yara_sources,
                        records=one.records,
                        stamps=sorted((*key, *stamp) for key, stamp in one.stamps.items()),
                    )
                    for index, one in self._changes.items()
                }
            ),
        )

    def resume(self, kept: snapshot.Configuration, places: snapshot.Places) -> None:
        """Become what a snapshot kept, over nothing but the seed.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        self._writes = kept.writes
        for name, each in kept.definitions.items():
            if snapshot.shaped(snapshot.Extension, each, "configuration.definitions").name != name:
                raise snapshot.BadSnapshot(
                    "configuration.definitions: an extension stands below another's name"
                )
            self.definitions.setdefault(name, each)
        for index, one in places.placed(kept.changes, "configuration.changes").items():
            self._changes[index] = _resumed(one)

    def _changed(self, organization: Organization) -> _Changes:
        return self._changes.get(organization.index, _NOTHING)

    def _change(self, organization: Organization) -> _Changes:
        return self._changes.setdefault(organization.index, _Changes())

    def fresh_etag(self) -> str:
        """One that was never used before."""
        self._writes += 1
        return hex_of(self._seed, "written", self._writes)

    def records(self, organization: Organization, hive: str) -> dict[str, Value]:
        """The records of a hive: key -> {data, usr_mtd, sys_mtd}. Not to be changed by the caller.

        A record whose expiry is over is not there any more.
        """
        found = self.hives(organization).get(hive, {})
        changed = self._changed(organization).records.get(hive)
        moment = self._clock()
        if not changed and not any(_expired(each, moment) for each in found.values()):
            return found
        return {
            key: record
            for key, record in {**found, **(changed or {})}.items()
            if record is not None and not _expired(record, moment)
        }

    def all_records(self, organization: Organization) -> dict[str, dict[str, Value]]:
        """Every hive of an organization that anything was ever put into."""
        hives = {*self.hives(organization), *self._changed(organization).records}
        return {hive: self.records(organization, hive) for hive in sorted(hives)}

    def put_record(self, organization: Organization, hive: str, key: str, record: Value | None) -> None:
        """Write a record, or remove it with None."""
        self._change(organization).records.setdefault(hive, {})[key] = record

    def set_value(self, organization: Organization, name: str, value: str) -> None:
        """Change a setting of the organization; "" takes it away."""
        self._change(organization).values[name] = value

    def set_extension(self, organization: Organization, name: str, subscribed: bool) -> None:
        """Subscribe, or end a subscription."""
        self._change(organization).extensions[name] = subscribed

    def set_resource(self, organization: Organization, category: str, name: str, subscribed: bool) -> None:
        """Subscribe to an add-on, or end that."""
        self._change(organization).resources[category, name] = subscribed

    def set_output(self, organization: Organization, name: str, output: Value | None) -> None:
        """Put an output, or remove it with None."""
        self._change(organization).outputs[name] = output

    def set_installation_key(self, organization: Organization, iid: str, key: Value | None) -> None:
        """Put an installation key, or remove it with None."""
        self._change(organization).installation_keys[iid] = key

    def new_installation_key(
        self, organization: Organization, description: str, tags: str, public_root: bool
    ) -> Value:
        """An installation key as it is when somebody has just made it; it is not put anywhere yet.

        Args:
            tags: separated by commas.
        """
        made = len(self._changed(organization).installation_keys)
        iid = uuid_of(self._seed, "made iid", organization.index, made)
        return {
            "iid": iid,
            "desc": description,
            "key": f"AAAA{hex_of(self._seed, 'made ikey', organization.index, made, length=96)}==",
            "json_key": f'{{"oid":"{organization.oid}","iid":"{iid}"}}',
            "tags": tags,
            "created": self._clock() // 1000,
            "use_public_root_ca": public_root,
        }

    def ingestion_keys(self, organization: Organization) -> dict[str, str]:
        """Keys for sending artifacts and logs, by name."""
        found: dict[str, str | None] = {}
        if not organization.blank and organization.tier != "bronze":
            found["log-collector"] = uuid_of(self._seed, "ingestion key", organization.index)
        return _merged(found, self._changed(organization).ingestion_keys)

    def add_ingestion_key(self, organization: Organization, name: str) -> str:
        """Make an ingestion key, in place of the one that is called so."""
        self._writes += 1
        key = uuid_of(self._seed, "made ingestion key", organization.index, self._writes)
        self._change(organization).ingestion_keys[name] = key
        return key

    def remove_ingestion_key(self, organization: Organization, name: str) -> None:
        """Take an ingestion key away."""
        self._change(organization).ingestion_keys[name] = None

    def yara_sources(self, organization: Organization) -> dict[str, str]:
        """The sources of the older YARA service: text by name."""
        return _merged({}, self._changed(organization).yara_sources)

    def set_yara_source(self, organization: Organization, name: str, text: str | None) -> None:
        """Put a source of the older YARA service, or remove it with None."""
        self._change(organization).yara_sources[name] = text

    def extensions(self, organization: Organization) -> tuple[str, ...]:
        """The subscriptions of an organization, sorted."""
        found = self._seeded_extensions(organization)
        for name, on in self._changed(organization).extensions.items():
            if on:
                found.add(name)
            else:
                found.discard(name)
        return tuple(sorted(found))

    @staticmethod
    def _seeded_extensions(organization: Organization) -> set[str]:
        if organization.blank:
            return set()
        found = list(EXTENSIONS)
        if organization.tier != "bronze":
            found += MANAGED_EXTENSIONS
        if organization.tier == "gold":
            found += GOLD_EXTENSIONS
        if organization.index % 6 == 2:
            found.append("ext-git-sync")
        if organization.index % 11 == 5:
            found.append("ext-sensor-cull")
        return set(found)

    def resources(self, organization: Organization) -> dict[str, list[str]]:
        """Subscriptions to add-ons by category."""
        found: dict[str, list[str]] = {}
        if not organization.blank:
            lookups = ["insight", "ip-geo", *(["vt"] if organization.tier != "bronze" else [])]
            found = {"api": lookups, "replicant": list(SERVICES)}
        for (category, name), on in self._changed(organization).resources.items():
            kept = [each for each in found.get(category, []) if each != name]
            found[category] = sorted([*kept, name]) if on else kept
        return {category: held for category, held in found.items() if held}

    def values(self, organization: Organization) -> dict[str, str]:
        """The organization's settings (`configs/{oid}/{name}`)."""
        found = self._seeded_values(organization)
        found.update(self._changed(organization).values)
        return {name: value for name, value in found.items() if value}

    def _seeded_values(self, organization: Organization) -> dict[str, str]:
        if organization.blank:
            return {}
        found = {"domain": organization.domain}
        if organization.tier != "bronze":
            found["vt"] = hex_of(self._seed, "vt", organization.index, length=64)
        if organization.index % 7 == 3:
            found["otx"] = hex_of(self._seed, "otx", organization.index, length=64)
        if organization.tier == "gold":
            found["pagerduty"] = hex_of(self._seed, "pagerduty", organization.index, length=20)
        return found

    def outputs(self, organization: Organization) -> dict[str, Value]:
        """Where data goes. Option values are text."""
        return _merged(self._seeded_outputs(organization), self._changed(organization).outputs)

    def _seeded_outputs(self, organization: Organization) -> dict[str, Value | None]:
        if organization.blank:
            return {}
        index = organization.index
        found: dict[str, Value | None] = {
            "soc-siem": {
                "name": "soc-siem",
                "module": "syslog",
                "for": "detect",
                "dest_host": f"siem-{organization.region}.{names.PROVIDER_DOMAIN}:6514",
                "is_tls": "true",
                "is_strict_tls": "true",
                "structured_data": f"{organization.slug}@32473",
            },
            "soc-slack": {
                "name": "soc-slack",
                "module": "slack",
                "for": "detect",
                "slack_api_token": f"xoxb-sandbox-{hex_of(self._seed, 'slack', index, length=24)}",
                "slack_channel": f"#soc-{organization.tier}",
                "cat_black_list": "Scheduled task from a temp directory\nSQL injection probe",
            },
        }
        if organization.tier != "bronze":
            found["audit-archive"] = {
                "name": "audit-archive",
                "module": "s3",
                "for": "audit",
                "bucket": f"{names.PROVIDER_SLUG}-audit-{organization.region}",
                "key_id": f"AKIASANDBOX{hex_of(self._seed, 's3', index, length=9).upper()}",
                "secret_key": hex_of(self._seed, "s3 secret", index, length=40),
                "region_name": {"europe": "eu-central-1", "americas": "us-east-1"}.get(
                    organization.region, "ap-southeast-2"
                ),
                "is_compression": "true",
                "sec_per_file": "300",
            }
        if index % 8 == 1 or index == self.failing:
            found["customer-syslog"] = {
                "name": "customer-syslog",
                "module": "syslog",
                "for": "event",
                "dest_host": f"log.{organization.domain}:514",
                "is_tls": "false",
                "event_white_list": "NEW_PROCESS\nDNS_REQUEST",
            }
        return found

    def installation_keys(self, organization: Organization) -> dict[str, Value]:
        """How machines enroll, by iid."""
        return _merged(
            self._seeded_installation_keys(organization), self._changed(organization).installation_keys
        )

    def _seeded_installation_keys(self, organization: Organization) -> dict[str, Value | None]:
        found: dict[str, Value | None] = {}
        if organization.blank:
            return found
        kinds = (("workstations", "workstation"), ("servers", "server,prod"), ("adapters", "adapter"))
        for number, iid in enumerate(installation_key_ids(self._seed, organization)):
            description, tags = kinds[number]
            token = hex_of(self._seed, "ikey", organization.index, number, length=96)
            found[iid] = {
                "iid": iid,
                "desc": description,
                "key": f"AAAA{token}==",
                "json_key": f'{{"oid":"{organization.oid}","iid":"{iid}"}}',
                "tags": tags,
                "created": organization.created + number * 3600,
                "use_public_root_ca": number == 2,
            }
        return found

    def rules(self, organization: Organization, service: str) -> Value:
        """The rules of an older service, which live in the record of the extension that took its place.

        Args:
            service: of `SERVICES`.
        """
        extension, inside = SERVICES[service]
        record = self.records(organization, "extension_config").get(extension)
        found = record["data"].get(inside) if record is not None else None
        return found if isinstance(found, dict) else {}

    def stamp(self, organization: Organization, service: str, name: str, by: str | None) -> None:
        """Note who sets a rule of an older service, or removes it with None, before its record is written.

        All rules of a service stand in one record, whose author and time change with any of them: what the
        other rules said of themselves is kept first.
        """
        stamps = self._change(organization).stamps
        if service != "exfil":
            for other, rule in self.services(organization)[service].items():
                stamps.setdefault((service, other), (rule["by"], rule["updated"]))
        if by is None:
            stamps.pop((service, name), None)
        else:
            stamps[service, name] = (by, self._clock())

    def services(self, organization: Organization) -> dict[str, Any]:
        """What the older services answer to `list_rules`."""
        stamps = self._changed(organization).stamps
        answers: dict[str, Any] = {}
        for service, (extension, _) in SERVICES.items():
            found = self.rules(organization, service)
            if service == "exfil":
                answers[service] = {part: found.get(part) or {} for part in ("list", "watch", "perf")}
                continue
            record = self.records(organization, "extension_config").get(extension)
            author, modified = "", 0
            if record is not None:
                author, modified = record["sys_mtd"]["last_author"], record["sys_mtd"]["last_mod"] * 1000
            answers[service] = {}
            for name, rule in found.items():
                by, updated = stamps.get((service, name), (author, modified))
                answers[service][name] = rule | {"by": by, "updated": updated}
        return answers

    def _hives(self, organization: Organization) -> dict[str, dict[str, Value]]:
        found: dict[str, dict[str, Value]] = {}
        if organization.blank:
            return found
        chance = Chance(self._seed, "configuration", organization.index)
        engineer = self._access.engineers[organization.index % len(self._access.engineers)]

        def put(
            hive: str, key: str, data: Value, *, tags: tuple[str, ...] = ("baseline",), enabled: bool = True,
            author: str = "", days: int = 60, comment: str = "", expiry: int = 0,
        ) -> None:  # fmt: skip
            # A rollout reaches its organizations within an hour.
            modified = (
                self._now - days * DAY + Chance(self._seed, "mod", organization.index, hive, key).below(3600)
            )
            found.setdefault(hive, {})[key] = {
                "data": data,
                "usr_mtd": {"enabled": enabled, "expiry": expiry, "tags": list(tags), "comment": comment},
                "sys_mtd": {
                    "etag": hex_of(self._seed, "etag", organization.index, hive, key),
                    "guid": uuid_of(self._seed, "guid", organization.index, hive, key),
                    "created_by": self._access.engineers[1],
                    "created_at": max(organization.created, self._now - 400 * DAY),
                    "last_author": author or self._access.engineers[0],
                    "last_mod": max(organization.created, modified),
                    "last_error": "",
                    "last_error_ts": 0,
                },
            }

        for number, rule in enumerate(BASELINE):
            state = variant(self._seed, organization.index, number)
            if not state.present:
                continue
            changed = state.priority != rule.priority
            put(
                "dr-managed" if rule.managed else "dr-general",
                rule.key,
                rules.body(rule, state.priority),
                tags=("baseline", rule.level),
                enabled=state.enabled,
                author=engineer if changed or not state.enabled else "",
                days=4 + number % 5 if changed or not state.enabled else 30 + number,
                comment="too loud, will look at it later" if not state.enabled else "",
            )
        if chance.happens(40):
            put(
                "dr-general",
                "file-server-administrators",
                {
                    "detect": {
                        "event": "USER_OBSERVED",
                        "op": "and",
                        "rules": [
                            {"op": "is tagged", "tag": "server"},
                            {
                                "op": "ends with",
                                "path": "event/USER_NAME",
                                "value": "-adm",
                                "case sensitive": False,
                            },
                        ],
                    },
                    "respond": [
                        {"action": "report", "name": "Administrator on a file server", "priority": 3}
                    ],
                },
                tags=("customer",),
                author=engineer,
                days=90,
            )
        for number, (key, data) in enumerate(_FP.items()):
            if number == 2 and organization.index % 3:
                continue
            put("fp", key, data, expiry=(self._now + 90 * DAY) * 1000 if number == 1 else 0, days=45)
        for key, data in LOOKUPS.items():
            put("lookup", key, data, days=3 if key == "bad-domains" else 120)
        put(
            "secret",
            "slack-token",
            {"secret": f"xoxb-sandbox-{hex_of(self._seed, 'slack', organization.index, length=24)}"},
        )
        put(
            "secret",
            "o365-client-secret",
            {"secret": hex_of(self._seed, "o365", organization.index, length=40)},
            tags=("adapter",),
        )
        if organization.tier == "gold":
            put(
                "secret",
                "pagerduty-key",
                {"secret": hex_of(self._seed, "pagerduty", organization.index, length=20)},
            )
        for key, data in QUERIES.items():
            put("query", key, data, tags=("soc",), days=200)
        for key, data in YARA.items():
            put("yara", key, data, days=150)
        for key, data in SOPS.items():
            put("sop", key, data, tags=("soc",), days=100)
        contact = self._access.contacts(organization)[0][0]
        put(
            "org_notes",
            "customer",
            {
                "description": f"What to know about {organization.born}",
                "text": (
                    f"# {organization.born}\n\nContact: {contact}, phone first.\n"
                    f"Maintenance: Sunday 02:00 to 04:00 UTC.\nService level: {_SLA[organization.tier]}.\n"
                ),
            },
            tags=("customer",),
            author=self._access.managers[0],
            days=20 + chance.below(200),
        )
        keys = installation_key_ids(self._seed, organization)
        kinds = layout(organization)
        if len(kinds[OFFICE365]):
            put(
                "cloud_sensor",
                "office365",
                self._adapter(organization, "office365", "office365", keys[2]),
                tags=("adapter",),
                days=180,
            )
        if len(kinds[TEXT]):
            put(
                "external_adapter",
                "web-access-log",
                self._adapter(organization, "syslog", "text", keys[2]),
                tags=("adapter",),
                days=180,
            )
        put("extension_config", "ext-exfil", {"exfil_rules": _EXFIL})
        put("extension_config", "ext-integrity", {"fim_rules": _INTEGRITY})
        put("extension_config", "ext-artifact", {"log_rules": _ARTIFACT})
        if organization.tier != "bronze":
            put("extension_config", "ext-cases", {"ingestion_mode": "all"})
            put("extension_config", "ext-yara", {"yara_scanners": _YARA_SCANS})
        if organization.index % 6 == 2:
            put(
                "extension_config",
                "ext-git-sync",
                {
                    "repo_url": f"git@git.{names.PROVIDER_DOMAIN}:content/limacharlie.git",
                    "branch": "main",
                    "conf_root": f"orgs/{organization.oid}/index.yaml",
                    "ssh_key_source": "secret",
                    "ssh_key_secret_name": "git-sync-key",
                },
            )
            put(
                "secret",
                "git-sync-key",
                {"secret": f"sandbox-ssh-key-{hex_of(self._seed, 'git', organization.index)}"},
            )
        if organization.tier == "gold":
            put(
                "playbook",
                "close-approved-scanner",
                {
                    "python": (
                        "def playbook(sdk, data):\n"
                        '    """Tell whether the scanner is an approved one."""\n'
                        '    return {"data": {"approved": True}}\n'
                    ),
                    "sdk_version": "5",
                },
                days=70,
            )
        return found

    def _adapter(self, organization: Organization, kind: str, platform: str, iid: str) -> Value:
        options = {
            "identity": {"oid": organization.oid, "installation_key": iid},
            "platform": platform,
            "sensor_seed_key": f"{organization.slug}-{kind}",
            "hostname": f"{organization.slug}-{kind}",
        }
        if kind == "office365":
            return {
                "sensor_type": kind,
                kind: {
                    "client_options": options,
                    "domain": organization.domain,
                    "tenant_id": uuid_of(self._seed, "tenant", organization.index),
                    "client_id": uuid_of(self._seed, "client", organization.index),
                    "client_secret": "hive://secret/o365-client-secret",
                    "content_types": "Audit.AzureActiveDirectory,Audit.Exchange,Audit.SharePoint",
                },
            }
        return {"sensor_type": kind, kind: {"client_options": options, "port": 514, "iface": "0.0.0.0"}}  # noqa: S104
