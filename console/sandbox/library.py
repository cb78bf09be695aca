"""The provider's templates: what its organizations were set up by, and what its engineers roll out next.

The documents want what `console.sandbox.configuration` deploys, so that drift is what somebody changed in an
organization, and no more; two of them want something new.
"""

from typing import Any, Final

from console.sandbox import configuration, names, rules

Document = dict[str, Any]


def _record(data: Any, *tags: str, comment: str = "") -> Document:
    return {"data": data, "usr_mtd": {"enabled": True, "tags": list(tags), "comment": comment}}


def _records(held: dict[str, Any], *tags: str) -> Document:
    return {key: _record(data, *tags) for key, data in held.items()}


def _baseline() -> Document:
    """The rules that every organization has, and what they look up."""
    hives: Document = {"dr-general": {}, "dr-managed": {}}
    for rule in rules.BASELINE:
        hive = hives["dr-managed" if rule.managed else "dr-general"]
        hive[rule.key] = _record(rules.body(rule), "baseline", rule.level)
    return {"version": 3, "hives": hives | {"lookup": _records(configuration.LOOKUPS, "baseline")}}


def _soc() -> Document:
    """What analysts ask and follow."""
    return {
        "version": 3,
        "hives": {
            "query": _records(configuration.QUERIES, "soc"),
            "sop": _records(configuration.SOPS, "soc"),
        },
    }


_DUMPER = """\
version: 3
limegrove:
  parameters:
    soc_email: {type: string, required: true, description: who is written to about an organization}
    minutes: {type: number, default: 30, description: for how long one machine is reported once}
hives:
  dr-general:
    credential-dump-tool:
      data:
        detect:
          event: NEW_PROCESS
          op: and
          rules:
            - op: is windows
            - op: matches
              path: event/COMMAND_LINE
              re: (?i)(sekurlsa|lsadump|comsvcs\\.dll.{0,4}minidump)
        respond:
          - action: report
            name: Credential dumping tool
            priority: 9
            metadata:
              level: critical
              description: "A tool that reads passwords out of memory. Write to ${soc_email}."
              tags: [attack.credential_access, attack.t1003.001]
            suppression:
              max_count: 1
              period: ${minutes}m
              is_global: false
              keys: ['{{ .routing.sid }}']
        tests:
          match:
            - - event: {COMMAND_LINE: 'rundll32 comsvcs.dll, MiniDump 640 C:\\l.dmp full'}
                routing: {event_type: NEW_PROCESS, plat: 268435456}
          non_match:
            - - event: {COMMAND_LINE: 'rundll32 shell32.dll,Control_RunDLL'}
                routing: {event_type: NEW_PROCESS, plat: 268435456}
      usr_mtd: {enabled: true, tags: [gold, critical]}
"""

_REMOTE_TOOLS = """\
version: 3
hives:
  dr-general:
    remote-tool-out-of-temp:
      data:
        detect:
          event: NEW_PROCESS
          op: and
          rules:
            - op: is windows
            - op: contains
              path: event/FILE_PATH
              value: \\Temp\\
              case sensitive: false
            - op: or
              rules:
                - {op: ends with, path: event/FILE_PATH, value: anydesk.exe, case sensitive: false}
                - {op: ends with, path: event/FILE_PATH, value: screenconnect.exe, case sensitive: false}
                - {op: ends with, path: event/FILE_PATH, value: rustdesk.exe, case sensitive: false}
        respond:
          - action: report
            name: Remote access tool run out of a temp directory
            priority: 6
            metadata:
              level: high
              description: Nobody installs a tool that way; who is on the phone with the user?
              tags: [attack.command_and_control, attack.t1219]
        tests:
          match:
            - - event: {FILE_PATH: 'C:\\Users\\kim\\AppData\\Local\\Temp\\AnyDesk.exe'}
                routing: {event_type: NEW_PROCESS, plat: 268435456}
          non_match:
            - - event: {FILE_PATH: 'C:\\Program Files\\AnyDesk\\AnyDesk.exe'}
                routing: {event_type: NEW_PROCESS, plat: 268435456}
      usr_mtd: {enabled: true, tags: [baseline, high]}
  lookup:
    approved-remote-tools:
      data:
        lookup_data:
          anydesk.exe: {owner: service desk}
          screenconnect.exe: {owner: service desk}
      usr_mtd: {enabled: true, tags: [baseline]}
"""

CREDENTIALS: Final = "gold/credentials"
"""What was rolled out last."""
REMOTE_TOOLS: Final = "gold/remote-tools"
"""What is rolled out next."""


def documents() -> dict[str, tuple[tuple[str, ...], str]]:
    """Name -> the nodes that it is assigned to, and the document, in the order of the layers."""
    import yaml

    def text(document: Document) -> str:
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)

    def subscribed(*extensions: str) -> str:
        return text({"version": 3, "extensions": sorted(extensions)})

    provider = (names.PROVIDER_SLUG,)
    tiers = {tier: tuple(f"{region}-{tier}" for region, *_ in names.REGIONS) for tier in ("gold", "silver")}
    return {
        "base/detections": (provider, text(_baseline())),
        "base/yara": (
            provider,
            text({"version": 3, "hives": {"yara": _records(configuration.YARA, "baseline")}}),
        ),
        "base/soc": (provider, text(_soc())),
        "base/extensions": (provider, subscribed(*configuration.EXTENSIONS)),
        "managed/extensions": (
            (*tiers["gold"], *tiers["silver"]),
            subscribed(*configuration.MANAGED_EXTENSIONS),
        ),
        "gold/extensions": (tiers["gold"], subscribed(*configuration.GOLD_EXTENSIONS)),
        CREDENTIALS: ((f"{names.REGIONS[0][0]}-gold",), _DUMPER),
        REMOTE_TOOLS: ((f"{names.REGIONS[1][0]}-gold",), _REMOTE_TOOLS),
    }
