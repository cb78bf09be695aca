"""Infrastructure as code: an organization as a YAML document, read and written (ext-infrastructure).

The order in which sections are applied, what counts as the same, and what force removes are those of
go-limacharlie (sync.go, sync_hive.go), which does the same work from outside: with force, whatever a section
with its flag on does not hold is removed, also when the document has no such section at all; only hives and
categories of resources have to stand in the document to lose anything.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from console.sandbox.calls import Call, Refusal, hive_error, missing
from console.sandbox.configuration import HIVES, SERVICES, needed
from console.sandbox.endpoints import extensions, hive, keys, outputs, services
from console.sandbox.extensions import action
from console.sandbox.organizations import Organization
from store.yaml import YamlError, load

VERSION = 3
_Document = dict[str, Any]

_READ: dict[str, tuple[str, ...]] = {
    "sync_resources": ("org.get",),
    "sync_extensions": ("ext.sub.mtd", "ext.sub"),
    "sync_outputs": ("output.list",),
    "sync_org_values": ("org.conf.get",),
    "sync_integrity": ("replicant.get",),
    "sync_artifacts": ("replicant.get",),
    "sync_exfil": ("replicant.get",),
    "sync_yara": ("replicant.get",),
    "sync_installation_keys": ("ikey.list",),
    "sync_dr": ("dr.list",),
    "sync_fp": ("fp.ctrl",),
}
_WRITE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sync_resources": (("ext.sub", "billing.ctrl"), ("ext.sub", "billing.ctrl")),
    "sync_extensions": (("ext.sub",), ("ext.sub",)),
    "sync_outputs": (("output.set",), ("output.del",)),
    "sync_org_values": (("org.conf.set",), ("org.conf.set",)),
    "sync_integrity": (("replicant.ctrl",), ("replicant.ctrl",)),
    "sync_artifacts": (("replicant.ctrl",), ("replicant.ctrl",)),
    "sync_exfil": (("replicant.ctrl",), ("replicant.ctrl",)),
    "sync_yara": (("replicant.ctrl",), ("replicant.ctrl",)),
    "sync_installation_keys": (("ikey.set",), ("ikey.del",)),
    "sync_fp": (("fp.ctrl",), ("fp.ctrl",)),
}
"""What it takes to put something into a section, and to remove something."""
_FIRST = ("secret", "yara", "lookup")
"""Hives whose records others refer to."""


def _options(data: _Document) -> _Document:
    options = data.get("options") or {}
    if not isinstance(options, dict):
        raise Refusal(400, "bad data: options is not an object")
    hives = options.get("sync_hives") or {}
    if not isinstance(hives, dict) or not HIVES.issuperset(hives):
        raise Refusal(400, "bad data: unknown hive")
    return options


def _tags(options: _Document) -> list[str]:
    tags = options.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Refusal(400, "bad data: tags is not a list of text")
    return tags


def _wanted_hives(options: _Document) -> list[str]:
    return [name for name, on in (options.get("sync_hives") or {}).items() if on]


def _readable(call: Call, one: Organization, options: _Document) -> None:
    """The extension acts as the caller, so that each section takes the permission that reading it takes."""
    for section, permissions in _READ.items():
        if options.get(section) and not call.allows(one.oid, *permissions):
            raise missing(*permissions)
    for name in _wanted_hives(options):
        if not call.allows(one.oid, *needed(name, "get")):
            raise missing(*needed(name, "get"))


@action("ext-infrastructure", "fetch")
def fetch(call: Call, one: Organization, data: _Document) -> object:
    """The organization as a document, limited to the sections asked for."""
    options = _options(data)
    _readable(call, one, options)
    return {"org": _document(call, one, options)}


def _document(call: Call, one: Organization, options: _Document) -> _Document:
    configuration = call.world.configuration
    document: _Document = {"version": VERSION}
    if options.get("sync_resources"):
        document["resources"] = configuration.resources(one)
    if options.get("sync_extensions"):
        document["extensions"] = list(configuration.extensions(one))
    if options.get("sync_outputs"):
        document["outputs"] = {
            name: {key: value for key, value in output.items() if key != "name"}
            for name, output in configuration.outputs(one).items()
        }
    if options.get("sync_org_values"):
        document["org-value"] = configuration.values(one)
    for flag, section, service in (
        ("sync_integrity", "integrity", "integrity"),
        ("sync_artifacts", "artifact", "logging"),
    ):
        if options.get(flag):
            document[section] = _flat(configuration.rules(one, service))
    if options.get("sync_exfil"):
        document["exfil"] = configuration.services(one)["exfil"]
    if options.get("sync_yara"):
        document["yara"] = {
            "rules": _flat(configuration.rules(one, "yara")),
            "sources": {name: {"source": text} for name, text in configuration.yara_sources(one).items()},
        }
    if options.get("sync_installation_keys"):
        document["installation_keys"] = {
            key["desc"]: {"desc": key["desc"], **_key(key)}
            for key in configuration.installation_keys(one).values()
        }
    if options.get("sync_dr"):
        document["rules"] = {
            name: {"namespace": namespace, "is_enabled": record["usr_mtd"]["enabled"]}
            | {part: record["data"][part] for part in ("detect", "respond")}
            for name, (namespace, record) in _rules(call, one).items()
        }
    if options.get("sync_fp"):
        document["fps"] = {
            name: {"data": record["data"]} for name, record in configuration.records(one, "fp").items()
        }
    hives = {name: configuration.records(one, name) for name in _wanted_hives(options)}
    if hives:
        document["hives"] = {
            name: {
                key: {"data": hive.shown(call, one, record)["data"], "usr_mtd": record["usr_mtd"]}
                for key, record in records.items()
            }
            for name, records in hives.items()
            if records
        }
    return document


def _flat(rules: _Document) -> _Document:
    """Rules as the document's older sections have them: filters beside the patterns."""
    return {
        name: {key: value for key, value in rule.items() if key != "filters"} | (rule.get("filters") or {})
        for name, rule in rules.items()
    }


def _key(key: _Document) -> _Document:
    return {
        "tags": [tag for tag in key["tags"].split(",") if tag],
        "use_public_root_ca": key["use_public_root_ca"],
    }


def _rules(call: Call, one: Organization) -> dict[str, tuple[str, _Document]]:
    """The rules that the older section holds: name -> (namespace, record)."""
    found: dict[str, tuple[str, _Document]] = {}
    for namespace in ("managed", "general"):
        if call.allows(one.oid, *needed(f"dr-{namespace}", "get")):
            records = call.world.records(one, f"dr-{namespace}")
            found |= {name: (namespace, record) for name, record in records.items()}
    return found


def loaded(text: Any) -> _Document:
    """A document out of the text that was sent.

    Raises:
        Refusal: 400 when it is not YAML, no map, or of another version.
    """
    if isinstance(text, str):
        try:
            text = load(text).value
            # Dates and names that are no text arrive as the text that JSON has for them.
            text = orjson.loads(orjson.dumps(text, option=orjson.OPT_NON_STR_KEYS))
        except YamlError as error:
            raise Refusal(400, f"bad config: {error}") from None
        except (TypeError, ValueError):
            raise Refusal(400, "bad config: a value has no form in JSON") from None
    if not isinstance(text, dict):
        raise Refusal(400, "bad config: the document is not a map")
    version = text.get("version")
    if isinstance(version, bool) or not isinstance(version, int):
        raise Refusal(400, "bad config: version not found")
    if version > VERSION:
        raise Refusal(400, f"bad config: version {version} is not supported, the newest is {VERSION}")
    return text


class _Push:
    """One document on its way into one organization."""

    def __init__(
        self, call: Call, one: Organization, document: _Document, options: _Document, *, dry: bool
    ) -> None:
        self.call = call
        self.one = one
        self.document = document
        self.options = options
        self.dry = dry
        self.force = bool(options.get("is_force"))
        self.lenient = bool(options.get("ignore_inaccessible"))
        self.ops: list[_Document] = []
        self.errors: list[_Document] = []
        self.puts: set[str] = set()
        self.drops: set[str] = set()
        """The sections, or hives, that gain and lose something."""
        configuration = call.world.configuration
        self.before = {service: configuration.rules(one, service) for service in SERVICES}
        self.closed: frozenset[str] = frozenset()
        """The sections that the caller may not change and does not want to hear of."""

    def _error(self, kind: str, name: str, text: str) -> None:
        self.errors.append({"error": f"{kind} {name}: {text}".replace("  ", " ")})

    def _section(self, name: str, shape: type = dict) -> Any:
        """A part of the document; empty when it is not there."""
        found = self.document.get(name)
        if found is None:
            return shape()
        if not isinstance(found, shape):
            self._error(name, "", "this section is not a " + ("map" if shape is dict else "list"))
            return None
        return found

    def _differ(
        self,
        section: str,
        kind: str,
        wanted: _Document,
        present: Iterable[str],
        same: Callable[[str, Any], bool],
        put: Callable[[str, Any], None],
        drop: Callable[[str], None],
        *,
        shown: str = "",
        droppable: bool = True,
    ) -> None:
        """Put what is wanted and not the same yet; with force, drop what is not wanted.

        Args:
            same: takes a name and what the document says of it; raises `Refusal` when that is wrong.
            shown: stands before the names in the answer.
            droppable: whether force reaches here.
        """
        if section in self.closed:
            return
        for name, value in wanted.items():
            try:
                if same(name, value):
                    self._op(kind, shown + name)
                    continue
                self.puts.add(section)
                if not self.dry:
                    put(name, value)
                self._op(kind, shown + name, is_added=True)
            except Refusal as refusal:
                self._error(kind, shown + name, refusal.body["error"])
        if not (self.force and droppable):
            return
        for name in list(present):
            if name not in wanted:
                self.drops.add(section)
                try:
                    if not self.dry:
                        drop(name)
                    self._op(kind, shown + name, is_removed=True)
                except Refusal as refusal:
                    self._error(kind, shown + name, refusal.body["error"])

    def _op(self, kind: str, name: str, *, is_added: bool = False, is_removed: bool = False) -> None:
        self.ops.append({"type": kind, "name": name, "is_added": is_added, "is_removed": is_removed})

    def run(self) -> None:
        """All sections whose flags are on, what others rest on first."""
        hives = self._section("hives") or {}
        wanted = [name for name in _wanted_hives(self.options) if name in hives]
        order: tuple[tuple[str, Callable[[], None]], ...] = (
            ("sync_extensions", self._extensions),
            ("sync_org_values", self._values),
            ("sync_dr", self._rules),
            ("sync_fp", self._false_positives),
            ("sync_outputs", self._outputs),
            ("sync_integrity", lambda: self._services("sync_integrity", "integrity", "integrity")),
            ("sync_artifacts", lambda: self._services("sync_artifacts", "artifact", "logging")),
            ("sync_exfil", self._exfil),
        )
        if self.options.get("sync_resources"):
            self._resources()
        for name in _FIRST:
            if name in wanted:
                self._hive(name, hives[name])
        for flag, act in order:
            if self.options.get(flag):
                act()
        for name in wanted:
            if name not in _FIRST:
                self._hive(name, hives[name])
        if self.options.get("sync_installation_keys"):
            self._installation_keys()
        if self.options.get("sync_yara"):
            self._yara()

    def _names(self, kind: str, found: Any) -> _Document:
        if not isinstance(found, list):
            self._error(kind, "", "this is not a list")
            return {}
        return {str(name): True for name in found}

    def _resources(self) -> None:
        sections = self._section("resources") or {}
        wanted: _Document = {}
        for category, names in sections.items():
            category = "replicant" if category == "service" else category
            found = self._names("resource", [] if names is None else names)
            wanted.setdefault(category, {}).update(found)
        for category, names in wanted.items():
            self._category(category, names)

    def _category(self, category: str, names: _Document) -> None:
        present = self.call.world.configuration.resources(self.one).get(category, [])

        def change(name: str, wanted: bool) -> None:
            extensions.subscribe_resource(self.call, self.one, category, name, wanted)

        def same(name: str, _: Any) -> bool:
            if category not in extensions.CATEGORIES:
                raise Refusal(400, f"unknown resource category {category}")
            return name in present

        self._differ(
            "sync_resources",
            "resource",
            names,
            present,
            same,
            lambda name, _: change(name, True),
            lambda name: change(name, False),
            shown=f"{category}/",
        )

    def _extensions(self) -> None:
        found = self._section("extensions", list)
        if found is None:
            return
        present = self.call.world.configuration.extensions(self.one)

        def same(name: str, _: Any) -> bool:
            if name not in present and name not in self.call.world.configuration.definitions:
                raise Refusal(404, f"extension {name} not found")
            return name in present

        self._differ(
            "sync_extensions",
            "extension",
            self._names("extension", found),
            present,
            same,
            lambda name, _: extensions.subscribe(self.call, self.one, name, True),
            lambda name: extensions.subscribe(self.call, self.one, name, False),
        )

    def _values(self) -> None:
        found = self._section("org-value")
        if found is None:
            return
        present = self.call.world.configuration.values(self.one)

        def text(value: Any) -> str:
            if isinstance(value, dict | list):
                raise Refusal(400, "a value is text")
            return "" if value is None else str(value)

        def put(name: str, value: Any) -> None:
            self.call.world.configuration.set_value(self.one, name, text(value))
            self.call.record(
                self.one,
                "config_change",
                f"organization value {name} {'set' if text(value) else 'removed'}",
                entity={"type": "org_value", "name": name},
            )

        self._differ(
            "sync_org_values",
            "org-value",
            found,
            present,
            lambda name, value: present.get(name, "") == text(value),
            put,
            lambda name: put(name, ""),
        )

    def _outputs(self) -> None:
        found = self._section("outputs")
        if found is None:
            return
        present = self.call.world.configuration.outputs(self.one)

        def made(name: str, value: Any) -> _Document:
            if not isinstance(value, dict):
                raise Refusal(400, "an output is a map")
            return outputs.output_of(name, value)

        self._differ(
            "sync_outputs",
            "output",
            found,
            present,
            lambda name, value: present.get(name) == made(name, value),
            lambda name, value: outputs.put_output(self.call, self.one, made(name, value)),
            lambda name: outputs.drop_output(self.call, self.one, name),
        )

    def _services(self, section: str, root: str, service: str, found: Any = None) -> None:
        found = self._section(root) if found is None else found
        if found is not None:
            rules = self.call.world.configuration.rules(self.one, service)
            kind = {"logging": "artifact", "yara": "yara-rule"}.get(service, service)
            self._rules_of_service(section, kind, service, found, rules)

    def _rules_of_service(
        self, section: str, kind: str, service: str, found: _Document, present: _Document
    ) -> None:
        def made(name: str, value: Any) -> _Document:
            if not isinstance(value, dict):
                raise Refusal(400, "a rule is a map")
            return services.rule_of(service, name, value)

        def same(name: str, value: Any) -> bool:
            rule = made(name, value)
            try:
                return name in present and made(name, present[name]) == rule
            except Refusal:
                return False

        self._differ(
            section,
            kind,
            found,
            present,
            same,
            lambda name, value: services.set_rule(self.call, self.one, service, name, made(name, value)),
            lambda name: services.set_rule(self.call, self.one, service, name, None),
        )

    def _exfil(self) -> None:
        found = self._section("exfil")
        if found is None:
            return
        present = self.call.world.configuration.services(self.one)["exfil"]
        for part in ("list", "watch"):
            rules = found.get(part)
            if rules is not None and not isinstance(rules, dict):
                self._error("exfil", part, "this is not a map")
                continue
            held = present[part] or {}
            self._rules_of_service("sync_exfil", f"exfil-{part}", f"exfil/{part}", rules or {}, held)

    def _yara(self) -> None:
        found = self._section("yara")
        if found is None:
            return
        texts = self.call.world.configuration.yara_sources(self.one)

        def text(value: Any) -> str:
            held = value.get("source") or value.get("content") if isinstance(value, dict) else value
            if not isinstance(held, str) or not held:
                raise Refusal(400, "a source is text")
            return held

        for part in ("sources", "rules"):
            if not isinstance(found.get(part) or {}, dict):
                self._error("yara", part, "this is not a map")
                return
        self._differ(
            "sync_yara",
            "yara-source",
            found.get("sources") or {},
            texts,
            lambda name, value: texts.get(name) == text(value),
            lambda name, value: services.set_source(self.call, self.one, name, text(value)),
            lambda name: services.set_source(self.call, self.one, name, None),
        )
        self._services("sync_yara", "yara", "yara", found.get("rules") or {})

    def _installation_keys(self) -> None:
        found = self._section("installation_keys")
        if found is None:
            return
        held = self.call.world.configuration.installation_keys(self.one)
        present = {key["desc"]: key for key in held.values()}

        def made(value: Any) -> _Document:
            if not isinstance(value, dict):
                raise Refusal(400, "an installation key is a map")
            tags = value.get("tags") or []
            tags = tags.split(",") if isinstance(tags, str) else tags
            if not isinstance(tags, list):
                raise Refusal(400, "tags is not a list")
            public = str(value.get("use_public_root_ca", False)).lower() in ("true", "1")
            return {"tags": [str(tag) for tag in tags if tag], "use_public_root_ca": public}

        def put(name: str, value: Any) -> None:
            iid = present[name]["iid"] if name in present else None
            key = made(value)
            keys.put_key(self.call, self.one, iid, name, key["tags"], key["use_public_root_ca"])

        def drop(name: str) -> None:
            for iid, key in held.items():
                if key["desc"] == name:
                    keys.drop_key(self.call, self.one, iid)

        self._differ(
            "sync_installation_keys",
            "installation-key",
            found,
            present,
            lambda name, value: made(value) == (_key(present[name]) if name in present else None),
            put,
            drop,
        )

    def _hive(self, name: str, found: Any) -> None:
        if found is not None and not isinstance(found, dict):
            self._error("hives", name, "this is not a map")
            return
        # The names of scopes are kept in lower case.
        found = {str(key).lower() if name == "acl" else str(key): each for key, each in (found or {}).items()}
        if name == "extension_config":
            found = self._without_echoes(found)
        present = self.call.world.records(self.one, name)
        tags = _tags(self.options)
        # The tags that a client names protect every record that does not carry them.
        held = [
            key
            for key, record in present.items()
            if not tags or set(tags) <= set(record["usr_mtd"].get("tags") or ())
        ]
        closed = {key for key, record in present.items() if hive.restricted(self.call, self.one, record)}
        if self.lenient:
            found = {key: value for key, value in found.items() if key not in closed}
        elif self.force:
            for key in held:
                if key in closed and key not in found:
                    self._error("hives", f"{name}/{key}", f"{name}/{key} is restricted")
        held = [key for key in held if key not in closed]

        def open_to(key: str) -> None:
            if key in closed:
                raise Refusal(403, f"{name}/{key} is restricted", error_code="ACL_CONTENT_RESTRICTED")

        def same(key: str, value: Any) -> bool:
            if not isinstance(value, dict):
                raise hive_error("INVALID", "a record is a map")
            open_to(key)
            before = present.get(key)
            data = value.get("data")
            if data is None and before is None:
                raise hive_error("RECORD_NOT_FOUND", f"{name}/{key} has no data")
            if data is not None:
                hive.checked_data(name, key, data)
            metadata = hive.checked_metadata(self.call, value.get("usr_mtd"))
            if before is None or (data is not None and data != before["data"]):
                return False
            return metadata is None or _plain(metadata) == _plain(before["usr_mtd"])

        def put(key: str, value: Any) -> None:
            data = value.get("data")
            metadata = hive.checked_metadata(self.call, value.get("usr_mtd"))
            hive.store(self.call, self.one, name, key, hive.MISSING if data is None else data, metadata)

        def drop(key: str) -> None:
            hive.erase(self.call, self.one, name, key)

        self._differ(f"hive {name}", "hives", found, held, same, put, drop, shown=f"{name}/")

    def _without_echoes(self, found: _Document) -> _Document:
        """The records of extensions, without undoing what an older section of the same document just did.

        Both hold the same rules. A record that says what was there before the push says nothing against
        the section.
        """
        sections = {
            "sync_integrity": ("integrity", "integrity"),
            "sync_artifacts": ("artifact", "logging"),
            "sync_exfil": ("exfil", "exfil"),
        }
        for flag, (root, service) in sections.items():
            extension, inside = SERVICES[service]
            value: Any = found.get(extension)
            data = value.get("data") if isinstance(value, dict) else None
            if not self.options.get(flag) or root not in self.document or not isinstance(data, dict):
                continue
            if data.get(inside) == self.before[service]:
                rules = self.call.world.configuration.rules(self.one, service)
                found = found | {extension: {**value, "data": data | {inside: rules}}}
        return found

    def _rules(self) -> None:
        found = self._section("rules")
        if found is None:
            return
        present = _rules(self.call, self.one)

        def made(value: Any) -> tuple[str, _Document, bool]:
            if not isinstance(value, dict):
                raise Refusal(400, "a rule is a map")
            namespace = value.get("namespace") or "general"
            if namespace not in ("general", "managed"):
                raise Refusal(400, f"unknown namespace {namespace}")
            data = {part: value[part] for part in ("detect", "respond", "tests") if part in value}
            return namespace, data, value.get("is_enabled") is not False

        def same(name: str, value: Any) -> bool:
            namespace, data, enabled = made(value)
            hive.checked_data(f"dr-{namespace}", name, data)
            before = present.get(name)
            if before is None or before[0] != namespace or before[1]["data"] != data:
                return False
            return before[1]["usr_mtd"]["enabled"] is enabled

        def put(name: str, value: Any) -> None:
            namespace, data, enabled = made(value)
            kind = f"dr-{namespace}"
            hive.allow(self.call, self.one, kind, "set", name)
            before = self.call.world.records(self.one, kind).get(name)
            metadata = before["usr_mtd"] if before else {"expiry": 0, "tags": None, "comment": ""}
            hive.store(self.call, self.one, kind, name, data, metadata | {"enabled": enabled})

        def drop(name: str) -> None:
            kind = f"dr-{present[name][0]}"
            hive.allow(self.call, self.one, kind, "del", name)
            hive.erase(self.call, self.one, kind, name)

        self._differ("sync_dr", "dr-rule", found, present, same, put, drop)

    def _false_positives(self) -> None:
        found = self._section("fps")
        if found is None:
            return
        present = self.call.world.records(self.one, "fp")

        def data(value: Any) -> Any:
            if not isinstance(value, dict):
                raise Refusal(400, "a rule is a map")
            return value.get("data", value.get("detect"))

        def same(name: str, value: Any) -> bool:
            checked = hive.checked_data("fp", name, data(value))
            return name in present and present[name]["data"] == checked

        def put(name: str, value: Any) -> None:
            default = {"enabled": True, "expiry": 0, "tags": None, "comment": ""}
            metadata = None if name in present else default
            hive.store(self.call, self.one, "fp", name, data(value), metadata)

        self._differ(
            "sync_fp",
            "fp-rule",
            found,
            present,
            same,
            put,
            lambda name: hive.erase(self.call, self.one, "fp", name),
        )

    def refused(self) -> dict[str, Refusal]:
        """The sections that would change and that the caller may not change so."""
        found: dict[str, Refusal] = {}
        for changed, place, act in ((self.puts, 0, "set"), (self.drops, 1, "del")):
            for section in sorted(changed):
                kind = section.removeprefix("hive ")
                if section == "sync_dr":
                    continue
                permissions = needed(kind, act) if kind != section else _WRITE[section][place]
                if not self.call.allows(self.one.oid, *permissions):
                    found[section] = missing(*permissions)
        return found


def _plain(metadata: _Document) -> _Document:
    return {
        "enabled": bool(metadata.get("enabled")),
        "expiry": metadata.get("expiry") or 0,
        "tags": list(metadata.get("tags") or ()),
        "comment": metadata.get("comment") or "",
        "ui_actions": metadata.get("ui_actions") or [],
    }


def pushed(call: Call, one: Organization, document: _Document, options: _Document) -> _Document:
    """Apply a document, or tell what that would do.

    Returns:
        {"ops": one for each element that the document holds or loses, "errors"}.

    Raises:
        Refusal: 401 for a section that would change and that the caller may not change, before anything is;
            such sections are left out instead when the caller asks to ignore what is inaccessible.
    """
    plan = _Push(call, one, document, options, dry=True)
    plan.run()
    refused = plan.refused()
    if refused and not plan.lenient and not options.get("is_dry_run"):
        raise next(iter(refused.values()))
    if not refused and options.get("is_dry_run"):
        return {"ops": plan.ops, "errors": plan.errors}
    real = _Push(call, one, document, options, dry=bool(options.get("is_dry_run")))
    real.closed = frozenset(refused) if real.lenient else frozenset()
    real.run()
    return {"ops": real.ops, "errors": real.errors}


@action("ext-infrastructure", "push")
def push(call: Call, one: Organization, data: _Document) -> object:
    """Make the organization as the document says."""
    options = _options(data)
    # One client puts these beside the options.
    for name in ("is_dry_run", "is_force", "ignore_inaccessible", "tags"):
        if name in data:
            options = {name: data[name], **options}
    if data.get("config_source"):
        raise Refusal(400, "the sandbox fetches nothing from elsewhere: send config, not a config_source")
    if not data.get("config"):
        raise Refusal(400, "missing config")
    document = loaded(data["config"])
    _readable(call, one, options)
    return pushed(call, one, document, options)


def apply_template(call: Call, one: Organization, text: str) -> None:
    """Apply a YAML document to an organization that was just made with it, whole and without asking.

    Raises:
        Refusal: 400 when it is no document.
    """
    document = loaded(text)
    options: _Document = {flag: True for flag in _READ} | {"sync_hives": dict.fromkeys(HIVES, True)}
    _Push(call, one, document, options, dry=False).run()
