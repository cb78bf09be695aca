"""Outputs, installation keys, resources, rules of older services, infrastructure as code."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from console.limacharlie import answers
from console.limacharlie.errors import Invalid, Protocol
from console.limacharlie.handle import Done, Part, done, encoded, flag, is_uuid, succeeded, uuid
from console.limacharlie.transport import Call
from store.secret import Secret

SERVICES = ("logging", "exfil", "integrity", "yara")
SYNC_OPTIONS = (
    "sync_outputs",
    "sync_resources",
    "sync_extensions",
    "sync_integrity",
    "sync_exfil",
    "sync_artifacts",
    "sync_org_values",
    "sync_installation_keys",
    "sync_yara",
)
"""The flags of an infrastructure fetch beside `sync_hives` (official client, `sdk/configs.py`)."""


class Operation(msgspec.Struct, frozen=True):
    """One thing that a push did, or would do."""

    type: str
    """`dr-rule`, `output`, `hives`, ... (Go client, `sync.go`); sometimes `hive.dr-general`."""
    name: str
    """Of a hive's record `hive/key`."""
    added: bool
    """Added or changed; neither this nor `removed` is unchanged."""
    removed: bool


class Pushed(msgspec.Struct, frozen=True):
    """What a push did, or would do."""

    operations: tuple[Operation, ...]
    errors: tuple[str, ...]
    """A stranger's sentences; what they are about was not done."""


class Configuration(Part):
    """What is configured beside the hives."""

    async def outputs(self) -> dict[str, dict[str, Any]]:
        """Its outputs by name (`GET outputs/{oid}`): name, module, for, options as text; with secrets."""
        answer = await self._get("outputs/{oid}")
        return answers.of_organization(answer.json(), self.oid, answer.what)

    async def installation_keys(self) -> dict[str, dict[str, Any]]:
        """Its installation keys by iid (`GET installationkeys/{oid}`): desc, tags as `a,b`, key, ..."""
        answer = await self._get("installationkeys/{oid}")
        return answers.of_organization(answer.json(), self.oid, answer.what)

    async def resources(self) -> dict[str, list[str]]:
        """The resources it is subscribed to, by category (`GET orgs/{oid}/resources`)."""
        answer = await self._get("orgs/{oid}/resources")
        held = answers.mapping(
            answers.given(answers.member(answer.json(), "resources", answer.what), {}),
            answer.what,
            "resources",
        )
        return {name: answers.texts(each, answer.what, f"each of {name!a}") for name, each in held.items()}

    async def service_rules(self, service: str, action: str = "list_rules") -> dict[str, Any]:
        """The rules of an older service (`POST service/{oid}/{service}`, which changes nothing here).

        Args:
            service: of SERVICES.
            action: `list_rules`, or `list_sources` of yara.

        Returns:
            {name: rule}; of exfil {perf, list, watch}. The same rules are in the hive `extension_config`
            where the organization has moved on to extensions.
        """
        if service not in SERVICES or not action.startswith("list_"):
            raise Invalid(f"{service[:80]!a} {action[:80]!a} is not a listing of rules.")
        request = base64.b64encode(msgspec.json.encode({"action": action})).decode("ascii")
        call = Call(
            "POST",
            "service/{oid}/{service}",
            {"oid": self.oid, "service": service},
            form=[("request_data", request), ("is_async", "false")],
            scope=self._scope,
            safe=True,
        )
        answer = await self._send(call)
        held = answers.mapping(answer.json(), answer.what)
        if isinstance(held.get("error"), str) and held["error"]:
            raise Invalid(f"{answer.what} failed: {answer.excerpt(held['error'])}.")
        if not all(isinstance(each, dict | list | None) for each in held.values()):
            answers.refuse(answer.what, "holds words or numbers where rules should be")
        return held

    async def fetch_infrastructure(
        self, options: Mapping[str, bool] | None = None, hives: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Its configuration as one document, version 3 (extension `ext-infrastructure`, action `fetch`).

        Args:
            options: of SYNC_OPTIONS; all of them when None. What is not asked for is not in the answer.
            hives: names of hives to be in it.

        Raises:
            Denied: the organization is not subscribed to the extension, or the key lacks a permission.
        """
        wanted: dict[str, Any] = dict(options) if options is not None else dict.fromkeys(SYNC_OPTIONS, True)
        if hives:
            wanted["sync_hives"] = dict.fromkeys(hives, True)
        return await self._ask(
            "ext-infrastructure", "fetch", {"options": wanted}, _document, safe=True, impersonated=True
        )

    async def preview_infrastructure(
        self, document: str, options: Mapping[str, bool] | None = None, hives: Sequence[str] = ()
    ) -> Pushed:
        """What a push of a document would do (`ext-infrastructure`, `push` as a dry run); changes nothing.

        Args:
            document: YAML, version 3.
            options: of SYNC_OPTIONS; all of them when None. What is not asked for is not looked at.
            hives: names of hives to be looked at.

        Raises:
            Denied: the organization is not subscribed to the extension, or the key lacks a permission.
            Invalid: the document is none.
        """
        return await self._push(document, options, hives, dry=True)

    async def add_infrastructure(
        self, document: str, options: Mapping[str, bool] | None = None, hives: Sequence[str] = ()
    ) -> Pushed:
        """Push a document (`ext-infrastructure`, `push`): adds and changes, and removes nothing.

        There is no way here to let the extension remove what a document lacks: that would also
        unsubscribe extensions and add-ons that nobody thought of, under no etag. Each removal is a
        change of its own.

        Args:
            document, options, hives: as of `preview_infrastructure`.

        Returns:
            What was done; `errors` may be there beside what succeeded.

        Raises:
            Ambiguous: the outcome is unknown, or the extension says that it removed something.
        """
        return await self._push(document, options, hives, dry=False)

    async def _push(
        self, document: str, options: Mapping[str, bool] | None, hives: Sequence[str], *, dry: bool
    ) -> Pushed:
        wanted: dict[str, Any] = dict(options) if options is not None else dict.fromkeys(SYNC_OPTIONS, True)
        wanted["sync_hives"] = dict.fromkeys(hives, True)
        wanted["is_dry_run"] = dry
        if unknown := sorted(wanted.keys() - {*SYNC_OPTIONS, "sync_hives", "is_dry_run"}):
            raise Invalid(f"{unknown[0][:80]!a} is not an option of a push here.")
        data = {"config": document, "options": wanted}

        def read(value: Any, what: str) -> Pushed:
            pushed = _pushed(value, what)
            if not dry and any(each.removed for each in pushed.operations):
                answers.refuse(what, "says that something was removed, which was not asked for")
            return pushed

        return await self._ask("ext-infrastructure", "push", data, read, safe=dry, impersonated=True)

    # What changes it

    async def create_output(
        self, name: str, module: str, stream: str, options: Mapping[str, str | bool | int]
    ) -> Done:
        """Make an output (`POST outputs/{oid}`).

        What the cloud does about a name that is taken is not documented: read the outputs first.

        Args:
            module: such as `syslog`; there is no list of them in the API.
            stream: `event`, `detect`, `audit`, `deployment`, `artifact`, `tailored` or `billing`. It is
                called `type` in this call and `for` in what is read.
            options: of the module, such as `dest_host`.

        Raises:
            Denied: `output.set` is missing.
            Invalid: the module or the stream is unknown, or an option is missing.
        """
        reserved = {"name", "module", "type", "for"} & options.keys()
        if reserved or not name:
            raise Invalid("An output needs a name, and options that are not its name, module or stream.")

        def read(value: Any, what: str) -> Done:
            made = done(value, what)
            if made.details.get("name", name) != name:
                answers.refuse(what, "is about another output")
            return made

        form = [("name", name), ("module", module), ("type", stream)]
        form += [(key, flag(each) if isinstance(each, bool) else str(each)) for key, each in options.items()]
        return await self._write("POST", "outputs/{oid}", read, form=form)

    async def delete_output(self, name: str) -> Done:
        """Delete an output (`DELETE outputs/{oid}`)."""
        return await self._write("DELETE", "outputs/{oid}", done, form=[("name", name)])

    async def installation_key(self, iid: str) -> dict[str, Any]:
        """One installation key (`GET installationkeys/{oid}/{iid}`).

        Raises:
            Gone: there is none with this id.
        """
        answer = await self._get("installationkeys/{oid}/{iid}", iid=uuid(iid, "installation key"))
        held = answers.mapping(answer.json(), answer.what)
        if answers.member(held, "iid", answer.what) != iid:
            answers.refuse(answer.what, "is another key")
        return held

    async def create_installation_key(
        self, description: str, tags: Sequence[str] = (), *, public_root_ca: bool = False
    ) -> str:
        """Make an installation key (`POST installationkeys/{oid}`).

        When the outcome is unknown, look for the description first: a second try makes a second key.

        Args:
            tags: what sensors that enroll with it get; without commas.
            public_root_ca: for machines that break up TLS with authorities of their own.

        Returns:
            Its iid.

        Raises:
            Denied: `ikey.set` is missing, or for `acl:` tags `acl.set`.
        """
        return await self._installation_key(description, tags, public_root_ca)

    async def update_installation_key(
        self, iid: str, description: str, tags: Sequence[str], *, public_root_ca: bool
    ) -> str:
        """Change an installation key, whole (`POST installationkeys/{oid}` with its iid).

        Its description, tags and authority are replaced, and `created` starts again. The API has no
        etag here: what somebody else changed since it was read is overwritten.

        Returns:
            Its iid.
        """
        return await self._installation_key(description, tags, public_root_ca, uuid(iid, "installation key"))

    async def _installation_key(
        self, description: str, tags: Sequence[str], public_root_ca: bool, iid: str = ""
    ) -> str:
        if any("," in tag or not tag.strip() for tag in tags):
            raise Invalid("A tag is one word or more, without a comma: the cloud would take it for several.")
        form = [
            ("desc", description),
            ("tags", ",".join(tags)),
            ("use_public_root_ca", flag(public_root_ca)),
        ]
        if iid:
            form.append(("iid", iid))

        def read(value: Any, what: str) -> str:
            details = done(value, what).details
            answers.own_organization(details, self.oid, what)
            named = answers.text(answers.member(details, "iid", what), what, "iid")
            if not is_uuid(named) or (iid and named != iid):
                answers.refuse(what, "is about another key")
            return named

        return await self._write("POST", "installationkeys/{oid}", read, form=form)

    async def delete_installation_key(self, iid: str) -> Done:
        """Delete an installation key (`DELETE installationkeys/{oid}`): nothing enrolls with it any more."""
        form = [("iid", uuid(iid, "installation key"))]
        return await self._write("DELETE", "installationkeys/{oid}", done, form=form)

    async def ingestion_keys(self) -> dict[str, Secret]:
        """Its ingestion keys by name (`GET insight/{oid}/ingestion_keys`)."""
        answer = await self._get("insight/{oid}/ingestion_keys")
        held = answers.mapping(
            answers.given(answers.member(answer.json(), "keys", answer.what), {}), answer.what, "keys"
        )
        return {name: Secret(answers.text(key, answer.what, "each key")) for name, key in held.items()}

    async def create_ingestion_key(self, name: str) -> Secret:
        """Make an ingestion key (`POST insight/{oid}/ingestion_keys`).

        Raises:
            Denied: `ingestkey.ctrl` is missing.
        """

        def read(value: Any, what: str) -> Secret:
            details = done(value, what).details
            if answers.member(details, "name", what) != name:
                answers.refuse(what, "is about another key")
            return Secret(answers.text(answers.member(details, "key", what), what, "key"))

        return await self._write("POST", "insight/{oid}/ingestion_keys", read, form=[("name", name)])

    async def delete_ingestion_key(self, name: str) -> Done:
        """Delete an ingestion key (`DELETE insight/{oid}/ingestion_keys`)."""
        return await self._write("DELETE", "insight/{oid}/ingestion_keys", done, query={"name": name})

    async def add_resource(self, category: str, name: str) -> Done:
        """Subscribe to a resource (`POST orgs/{oid}/resources`), such as `api`, `ip-geo`.

        It takes effect later; the listing shows when.
        """
        form = [("res_cat", category), ("res_name", name)]
        return await self._write("POST", "orgs/{oid}/resources", succeeded, form=form)

    async def remove_resource(self, category: str, name: str) -> Done:
        """Unsubscribe from a resource (`DELETE orgs/{oid}/resources`)."""
        form = [("res_cat", category), ("res_name", name)]
        return await self._write("DELETE", "orgs/{oid}/resources", succeeded, form=form)

    async def add_service_rule(self, service: str, name: str, rule: Mapping[str, Any]) -> Done:
        """Add a rule to an older service, or replace the one of this name (`POST service/{oid}/{service}`).

        Args:
            service: of SERVICES. A rule of exfil with `events` is one of its list, with `event` a watch;
                one of yara with `source` or `content` is a source.
            rule: as `service_rules` has it; who changed it last and when is left out.

        Raises:
            Denied: `replicant.task` or the like is missing.
            Invalid: the organization is not subscribed to the service, or the rule is refused.
        """
        action, fields = _service_rule(service, rule)
        return await self._service_change(service, {"action": action, "name": name, **fields})

    async def remove_service_rule(self, service: str, name: str, kind: str = "rule") -> Done:
        """Remove a rule of an older service (`POST service/{oid}/{service}`).

        Args:
            kind: `rule`; of exfil `list` or `watch`; of yara `rule` or `source`.
        """
        action = _REMOVALS.get((service, kind))
        if action is None:
            raise Invalid(f"{service[:80]!a} has no rules of the kind {kind[:80]!a}.")
        return await self._service_change(service, {"action": action, "name": name})

    async def _service_change(self, service: str, request: dict[str, Any]) -> Done:
        packed = base64.b64encode(encoded(request)).decode("ascii")
        form = [("request_data", packed), ("is_async", "false")]
        return await self._write("POST", "service/{oid}/{service}", done, form=form, service=service)


_REMOVALS = {
    ("logging", "rule"): "remove_rule",
    ("integrity", "rule"): "remove_rule",
    ("exfil", "list"): "remove_event_rule",
    ("exfil", "watch"): "remove_watch",
    ("yara", "rule"): "remove_rule",
    ("yara", "source"): "remove_source",
}


def _service_rule(service: str, rule: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """How a rule as it is read is written: (action, fields). Official client, `sdk/exfil.py` and its like."""
    fields = {key: value for key, value in rule.items() if key not in ("by", "updated", "filters", "name")}
    filters = rule.get("filters") or {}
    for name in ("tags", "platforms"):
        if filters.get(name):
            fields[name] = list(filters[name])
    if service == "exfil":
        return ("add_watch" if "event" in fields else "add_event_rule"), fields
    if service == "yara":
        if "source" in fields or "content" in fields:
            return "add_source", {"source": fields.get("source") or fields.get("content")}
        # Lists go as JSON text to this one service.
        texts = {
            key: encoded(value).decode("ascii") if isinstance(value, list) else value
            for key, value in fields.items()
        }
        return "add_rule", texts
    if service not in SERVICES:
        raise Invalid(f"{service[:80]!a} is not a service with rules.")
    return "add_rule", fields


def _document(value: Any, what: str) -> dict[str, Any]:
    data = answers.mapping(value, what, "data")
    document = answers.mapping(answers.member(data, "org", what), what, "org")
    if document.get("version") != 3:
        raise Protocol(f"The answer to {what} is not a configuration of version 3.")
    return document


def _pushed(value: Any, what: str) -> Pushed:
    data = answers.mapping(value, what, "data")
    operations = []
    for row in answers.mappings(answers.given(answers.member(data, "ops", what), []), what, "ops"):
        flags = [
            answers.truth(answers.given(row.get(name), False), what, name)
            for name in ("is_added", "is_removed")
        ]
        operations.append(
            Operation(
                type=answers.text(answers.member(row, "type", what), what, "type"),
                name=answers.text(answers.member(row, "name", what), what, "name"),
                added=flags[0],
                removed=flags[1],
            )
        )
    errors = []
    for each in answers.sequence(answers.given(data.get("errors"), []), what, "errors"):
        said = each.get("error") if isinstance(each, dict) else each
        errors.append(said if isinstance(said, str) else str(said))
    return Pushed(tuple(operations), tuple(errors))
