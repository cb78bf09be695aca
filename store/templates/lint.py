"""What is wrong with the records of a template, before anything is sent.

Shapes, units and names are those of LimaCharlie's documentation and clients. What the cloud accepts silently
and never acts on is a warning, what it refuses is an error, and where its own sources contradict each other
nothing is said.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from store.configuration import is_secret_name
from store.logic.documents import Found, run_tests
from store.templates.documents import Finding, Key, Place, Record, Severity, Template

MODULES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "s3": (("bucket",), ("key_id",), ("secret_key",)),
    "gcs": (("bucket",), ("secret_key",)),
    "pubsub": (("project",), ("topic",), ("secret_key",)),
    "bigquery": (("project",), ("dataset",), ("table",), ("schema",), ("secret_key",)),
    "kafka": (("dest_host",), ("routing_topic", "literal_topic")),
    "syslog": (("dest_host",),),
    "scp": (("dest_host",), ("dir",), ("username",), ("password", "secret_key")),
    "sftp": (("dest_host",), ("dir",), ("username",), ("password", "secret_key")),
    "slack": (("slack_api_token",), ("slack_channel",)),
    "telegram": (("bot_token",), ("chat_id",)),
    "ms_teams": (("webhook_url",),),
    "smtp": (("dest_host",), ("dest_email",), ("from_email",)),
    "webhook": (("dest_host",),),
    "webhook_bulk": (("dest_host",),),
    "elastic": (("addresses", "cloud_id"), ("index",)),
    "opensearch": (("addresses",), ("index",), ("username",), ("password",)),
    "humio": (("humio_repo",), ("humio_api_token",)),
    "azure_event_hub": (("connection_string",),),
    "azure_storage_blob": (("blob_container",), ("account_name",), ("secret_key",)),
    "tines": (("dest_host",),),
    "torq": (),
    "datadog": (),
    "websocket": (),
    "live_stream": (),
}
"""Output module -> what it needs; of several names in one place, one (Go client, documentation)."""

STREAMS: Final = ("event", "detect", "audit", "deployment", "artifact", "tailored", "billing")
_LISTS: Final = frozenset(
    {
        "event_white_list", "event_black_list", "cat_white_list", "cat_black_list", "rule_tag_white_list",
        "rule_tag_black_list", "tag_black_list",
    }
)  # fmt: skip
_OPERATORS: Final = ("is", "contains", "starts with", "ends with")
_BASE: Final = ("default-chrome", "default-linux", "default-macos", "default-windows")
_ANGLES: Final = re.compile(r"<<[A-Z_ -]{2,}>>")
_SECONDS_END: Final = 100_000_000_000
"""Below it a number of milliseconds lies before the year 1973: it was meant as seconds."""


def lint(template: Template) -> list[Finding]:
    """Every finding of a template, those of its reading included: errors first, then by place."""
    found = [*template.findings]
    for record in template.records.values():
        found += _findings(record)
    found += _references(template)
    order: tuple[Severity, ...] = ("error", "warning", "info")
    return sorted(found, key=lambda each: (order.index(each.severity), each.place, each.text))


def _findings(record: Record) -> Iterator[Finding]:
    say = _Saying(record)
    if record.section.startswith("hive/"):
        _metadata(record, say)
    check = _CHECKS.get(record.section)
    if check is not None:
        check(record, say)
    for text in _texts(record.body):
        if _ANGLES.search(text):
            say.warn(f"{_named(record)} holds the placeholder {_ANGLES.search(text)[0]!r}.", "Fill it in.")  # type: ignore[index]
            break
    yield from say.findings


class _Saying:
    def __init__(self, record: Record) -> None:
        self._place, self._key = record.place, record.key
        self.findings: list[Finding] = []

    def wrong(self, text: str, remedy: str = "") -> None:
        self._add("error", text, remedy)

    def warn(self, text: str, remedy: str = "") -> None:
        self._add("warning", text, remedy)

    def note(self, text: str, remedy: str = "") -> None:
        self._add("info", text, remedy)

    def _add(self, severity: Severity, text: str, remedy: str) -> None:
        self.findings.append(Finding(severity, self._place, text, remedy, self._key))


def _named(record: Record) -> str:
    return f"{record.section.removeprefix('hive/')}/{record.name}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


# Hive records


def _metadata(record: Record, say: _Saying) -> None:
    metadata, name = record.metadata, _named(record)
    if metadata is None:
        say.warn(
            f"{name} has no `usr_mtd`: a new record is stored disabled, and nothing happens.",
            "Add `usr_mtd: {enabled: true}`.",
        )
        return
    enabled = metadata.get("enabled")
    if enabled is None:
        say.warn(
            f"{name} does not say whether it is enabled: the cloud takes that for no, of a live record too.",
            "Add `enabled: true` to `usr_mtd`.",
        )
    elif not isinstance(enabled, bool):
        say.wrong(f"`enabled` of {name} has to be true or false.")
    expiry = metadata.get("expiry", 0)
    if isinstance(expiry, bool) or not isinstance(expiry, int):
        say.wrong(f"`expiry` of {name} has to be a number of milliseconds since 1970, or 0.")
    elif 0 < expiry < _SECONDS_END:
        say.wrong(
            f"`expiry` of {name} is in seconds, and so lies in the past: a push fails.",
            f"In milliseconds it is {expiry * 1000}.",
        )
    tags = metadata.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(each, str) for each in tags)):
        say.wrong(f"`tags` of {name} have to be a list of texts.")
    for odd in sorted(set(map(str, metadata)) - {"enabled", "expiry", "tags", "comment"}):
        say.warn(f"`{odd}` in `usr_mtd` of {name} has no effect.")
    if isinstance(record.body, Mapping) and "usr_mtd" in record.body:
        say.warn(
            f"`usr_mtd` stands within `data` of {name}, where it has no effect.", "Move it beside `data`."
        )


def _rule(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    if not isinstance(body, Mapping) or "detect" not in body or "respond" not in body:
        say.wrong(f"{name} has not both `detect` and `respond` in its `data`.")
        return
    if not isinstance(body["respond"], list):
        say.wrong(f"`respond` of {name} has to be a list of actions.")
    else:
        for action in body["respond"]:
            kind = action.get("action") if isinstance(action, Mapping) else None
            if not isinstance(kind, str):
                say.wrong(f"An action of {name} does not say which: `action` is missing.")
            elif kind == "report" and not action.get("name"):
                say.wrong(f"A report of {name} has no `name`.")
    for odd in ("enabled", "namespace", "is_enabled"):
        if odd in body:
            say.warn(f"`{odd}` within `data` of {name} has no effect.", "`usr_mtd` has `enabled`.")
    if record.section == "hive/dr-service":
        say.warn(f"{name} is of the service namespace, which belongs to LimaCharlie's extensions.")
    _logic(record, Found(record.name, "dr", body), say)


def _false_positive(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    if not isinstance(body, Mapping):
        say.wrong(f"`data` of {name} has to be one condition.")
        return
    for wrapper in ("detect", "detection"):
        if wrapper in body and "op" not in body:
            say.wrong(
                f"`data` of {name} wraps its condition in `{wrapper}`.", "The condition itself stands there."
            )
            return
    _logic(record, Found(record.name, "fp", body), say)


def _logic(record: Record, found: Found, say: _Saying) -> None:
    report = run_tests(found)
    if report.outcome == "refused":
        say.wrong(f"{_named(record)}: {report.why}")
    elif report.outcome in ("fail", "error"):
        say.wrong(f"The unit tests of {_named(record)} do not hold: {report.why}")
    for warning in report.warnings:
        say.warn(f"{_named(record)}: {warning}")


def _one_key(*names: str) -> Callable[[Record, _Saying], None]:
    def check(record: Record, say: _Saying) -> None:
        body = record.body
        held = [each for each in names if isinstance(body, Mapping) and each in body]
        if len(held) != 1:
            say.wrong(f"`data` of {_named(record)} has to hold exactly one of {', '.join(names)}.")

    return check


def _lookup(record: Record, say: _Saying) -> None:
    _one_key("lookup_data", "newline_content", "yaml_content", "optimized_lookup_data")(record, say)
    entries = record.body.get("lookup_data") if isinstance(record.body, Mapping) else None
    if entries is None:
        return
    if not isinstance(entries, Mapping):
        say.wrong(f"`lookup_data` of {_named(record)} has to be a mapping.")
        return
    odd = next((key for key, value in entries.items() if not isinstance(value, Mapping)), None)
    if odd is not None:
        say.wrong(
            f"The entry {str(odd)[:60]!r} of {_named(record)} has no object for its value.", "Write {}."
        )
    typed = next((key for key in entries if not isinstance(key, str)), None)
    if typed is not None:
        say.wrong(
            f"YAML reads the key {typed!r} of {_named(record)} as something else.", "Write it in quotes."
        )


def _secret(record: Record, say: _Saying) -> None:
    body = record.body
    if not isinstance(body, Mapping) or set(body) != {"secret"} or not isinstance(body["secret"], str):
        say.wrong(f"`data` of {_named(record)} has to be `secret:` with a text.")
    elif not body["secret"].strip():
        say.warn(f"{_named(record)} is empty.")
    else:
        say.warn(
            f"{_named(record)} stands in the file in clear, for everybody who reads it.",
            "Make it a parameter that refers to a secret, or set it in the organization.",
        )


def _query(record: Record, say: _Saying) -> None:
    body = record.body
    if not isinstance(body, Mapping) or not isinstance(body.get("query"), str):
        say.wrong(f"`data` of {_named(record)} has no `query`.")


def _playbook(record: Record, say: _Saying) -> None:
    body = record.body
    code = body.get("python") if isinstance(body, Mapping) else None
    if not isinstance(code, str):
        say.wrong(f"`data` of {_named(record)} has no `python`.")
        return
    try:
        compile(code, record.name, "exec")
    except (SyntaxError, ValueError) as error:
        say.wrong(f"{_named(record)} is no Python: {getattr(error, 'msg', error)}.")
    else:
        if not re.search(r"^\s*(?:async\s+)?def\s+playbook\b|^playbook\s*=", code, re.MULTILINE):
            say.wrong(f"{_named(record)} defines no `playbook(sdk, data)`.")


def _adapter(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    kind = body.get("sensor_type") if isinstance(body, Mapping) else None
    if not isinstance(kind, str):
        say.wrong(f"`data` of {name} has no `sensor_type`.")
        return
    block = body.get(kind)
    if not isinstance(block, Mapping):
        say.wrong(f"{name} is of the type {kind}, and has no `{kind}:` beside it: it never starts.")
        return
    options = block.get("client_options")
    if not isinstance(options, Mapping):
        say.wrong(f"`{kind}` of {name} has no `client_options`.")
        return
    identity = options.get("identity")
    for needed in ("oid", "installation_key"):
        if not isinstance(identity, Mapping) or not identity.get(needed):
            say.wrong(f"`client_options.identity` of {name} has no `{needed}`.")
    for needed in ("platform", "sensor_seed_key", "hostname"):
        if not options.get(needed):
            say.wrong(f"`client_options` of {name} have no `{needed}`.")


# Sections


def _output(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    if not isinstance(body, Mapping):
        say.wrong(f"{name} has to be a mapping.")
        return
    module, stream = body.get("module"), body.get("for", body.get("type"))
    if not isinstance(module, str) or module not in MODULES:
        say.wrong(f"{name} has no module that there is: {module!r}.", f"One of {', '.join(MODULES)}.")
    else:
        for needed in MODULES[module]:
            if not any(body.get(each) not in (None, "") for each in needed):
                say.wrong(f"{name} lacks `{'` or `'.join(needed)}`, which the module {module} needs.")
        if module == "azure_event_hub" and ";EntityPath=" not in str(body.get("connection_string", "")):
            say.warn(f"`connection_string` of {name} does not end in `;EntityPath=HUB`.")
        if module in ("websocket", "live_stream"):
            say.warn(f"{name}: outputs of the module {module} are made by tools, and do not belong here.")
    if stream not in STREAMS:
        near = " `detect` is meant." if stream == "detection" else ""
        say.wrong(
            f"{name} is for no stream that there is: {stream!r}.", f"One of {', '.join(STREAMS)}.{near}"
        )
    for field, value in body.items():
        if isinstance(value, bool):
            say.warn(
                f"`{field}` of {name} is a yes or no of YAML, which the Go client refuses.",
                f"Write '{str(value).lower()}' in quotes.",
            )
        elif field in _LISTS and isinstance(value, list):
            say.wrong(f"`{field}` of {name} is a list.", "Write one text with a name on each line.")
        elif isinstance(value, str) and value and is_secret_name(str(field)) and "hive://" not in value:
            say.warn(
                f"`{field}` of {name} is a secret in clear.",
                "Keep it in the secret hive, and write `hive://secret/NAME`.",
            )


def _patterns(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    patterns = body.get("patterns") if isinstance(body, Mapping) else None
    if not isinstance(patterns, list) or not patterns or not all(isinstance(one, str) for one in patterns):
        say.wrong(f"`patterns` of {name} have to be a list of texts.")
    if not isinstance(body, Mapping):
        return
    for field in ("platforms", "tags"):
        if field in body and not isinstance(body[field], list):
            say.wrong(f"`{field}` of {name} have to be a list.")
    if record.section == "artifact":
        days = body.get("days_retention")
        if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < 0):
            say.wrong(f"`days_retention` of {name} has to be a number of days.")
        for odd in ("retention", "log_type", "log_name", "type"):
            if odd in body:
                say.warn(f"`{odd}` of {name} has no effect.", "`days_retention` is how long it is kept.")


def _exfil(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    kind = record.name.partition("/")[0]
    if not isinstance(body, Mapping):
        say.wrong(f"{name} has to be a mapping.")
    elif kind == "list" and not isinstance(body.get("events"), list):
        say.wrong(f"`events` of {name} have to be a list of event names.")
    elif kind == "watch":
        if body.get("operator") not in _OPERATORS:
            say.warn(
                f"The operator {body.get('operator')!r} of {name} is none of {', '.join(_OPERATORS)}: the "
                "rule is dropped silently.",
            )
        if not isinstance(body.get("path"), list):
            say.wrong(f"`path` of {name} has to be a list, relative to the event: [FILE_PATH].")
        if not isinstance(body.get("event"), str):
            say.wrong(f"`event` of {name} has to be the name of one event.")


def _installation_key(record: Record, say: _Saying) -> None:
    body, name = record.body, _named(record)
    if not isinstance(body, Mapping):
        say.wrong(f"{name} has to be a mapping.")
        return
    described = body.get("desc", record.name)
    if described != record.name:
        say.warn(f"{name} is described as {described!r}: the description is what it goes by, not its name.")
    tags = body.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(each, str) for each in tags):
        say.wrong(f"`tags` of {name} have to be a list of texts.")


def _org_value(record: Record, say: _Saying) -> None:
    if not isinstance(record.body, str):
        say.wrong(f"{_named(record)} has to be a text.", "Write it in quotes.")
    elif record.body and not record.body.startswith("hive://"):
        say.warn(f"{_named(record)} may be a credential, and stands in the file in clear.")


_CHECKS: Final[Mapping[str, Callable[[Record, _Saying], None]]] = {
    "hive/dr-general": _rule,
    "hive/dr-managed": _rule,
    "hive/dr-service": _rule,
    "hive/fp": _false_positive,
    "hive/lookup": _lookup,
    "hive/yara": _one_key("rule"),
    "hive/secret": _secret,
    "hive/query": _query,
    "hive/playbook": _playbook,
    "hive/external_adapter": _adapter,
    "hive/cloud_sensor": _adapter,
    "output": _output,
    "integrity": _patterns,
    "artifact": _patterns,
    "exfil": _exfil,
    "installation_key": _installation_key,
    "org_value": _org_value,
}

# References between records

_HIVE_URL: Final = re.compile(r"hive://([a-z_-]+)/([^\s\"',}]+)")


def _references(template: Template) -> Iterator[Finding]:
    records = template.records
    for record in records.values():
        for text in _texts(record.body):
            for hive, name in _HIVE_URL.findall(text):
                if (f"hive/{hive}", name) not in records:
                    yield _about(
                        record,
                        f"{_named(record)} refers to {hive}/{name}, which the template does not bring.",
                        "The organization has to have it already.",
                    )
        yield from _actions(record, records)
    extensions = {name for section, name in records if section == "extension"}
    for section, name in records:
        if section == "hive/extension_config" and name not in extensions:
            yield _about(
                records[section, name],
                f"{name} is configured, and the template does not subscribe to it: where nobody has, nothing "
                "happens.",
                f"Add it to `extensions`, or see that every organization has it: {name}.",
            )
    base = [name for section, name in records if section == "exfil" and name.startswith("list/")]
    missing = [each for each in _BASE if f"list/{each}" not in base]
    if base and missing:
        first = records["exfil", base[0]]
        yield _about(
            first,
            f"The event lists lack {', '.join(missing)}: with them goes what every sensor sends by default.",
            "Keep the four of them.",
        )
    for legacy, extension in (
        ("integrity", "ext-integrity"),
        ("exfil", "ext-exfil"),
        ("artifact", "ext-artifact"),
    ):
        both = ("hive/extension_config", extension)
        if both in records and any(section == legacy for section, _ in records):
            yield _about(
                records[both],
                f"`{legacy}` and the configuration of {extension} both stand here: one undoes the other.",
                f"Keep the configuration of {extension}.",
            )


def _actions(record: Record, records: Mapping[Key, Record]) -> Iterator[Finding]:
    responses = record.body.get("respond") if isinstance(record.body, Mapping) else None
    if not record.section.startswith("hive/dr-") or not isinstance(responses, list):
        return
    for action in responses:
        if not isinstance(action, Mapping):
            continue
        name = action.get("name")
        if action.get("action") == "output" and isinstance(name, str):
            output = records.get(("output", name))
            if output is None:
                yield _about(record, f"{_named(record)} sends to the output {name!r}, which is not here.")
            elif (
                isinstance(output.body, Mapping)
                and output.body.get("for", output.body.get("type")) != "tailored"
            ):
                yield _about(
                    record, f"{_named(record)} sends to the output {name!r}, which is not for `tailored`."
                )
        elif action.get("action") == "extension request":
            wanted = action.get("extension name")
            if isinstance(wanted, str) and ("extension", wanted) not in records:
                yield _about(
                    record,
                    f"{_named(record)} asks {wanted}, to which the template does not subscribe.",
                    f"Add it to `extensions`, or see that every organization has it: {wanted}.",
                )


def _about(record: Record, text: str, remedy: str = "") -> Finding:
    place: Place = record.place
    return Finding("warning", place, text, remedy, record.key)
