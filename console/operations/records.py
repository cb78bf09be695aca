"""One configuration record of an organization, whatever section it is of: read, written, removed.

Nothing here decides anything. What is written replaces the whole record, content and metadata; hive records
go under the etag that was read, and for what the API changes without one the caller compares what was read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from console.limacharlie.errors import Denied, Gone, Invalid
from console.limacharlie.hive import ABSENT, HiveMetadata
from store.configuration import content_hash, redact
from store.rollouts.compare import METADATA, listed_tags, normalised, normalised_metadata

if TYPE_CHECKING:
    from console.limacharlie.client import OrganizationHandle

SERVICES = {"integrity": "integrity", "artifact": "logging", "exfil": "exfil", "yara": "yara"}
"""Section -> the service that keeps its rules."""


@dataclass(frozen=True)
class Current:
    """A record as the cloud has it now."""

    body: Any
    """Content, secrets in place: never for the store, nor for a text. None where it is not read (secrets)."""
    metadata: Mapping[str, Any]
    """`usr_mtd`, normalised."""
    etag: str
    """"" where the section has none."""
    iid: str = ""
    """Of an installation key."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """`usr_mtd` as received: what it holds besides (`ui_actions`) is written back."""
    author: str = ""
    """Who wrote a hive record last."""
    modified: int | None = None
    """When, by the cloud's clock (ms); to the second."""

    def hash(self, section: str, name: str, key: bytes) -> str:
        """What identifies the content (`store.rollouts.compare.wanted_hash`); "" where it is not read.

        Args:
            key: the installation's redaction key.
        """
        if self.body is None:
            return ""
        return content_hash(redact(section, normalised(section, name, self.body), key))


async def read(handle: "OrganizationHandle", section: str, name: str) -> Current | None:
    """What is there; None when nothing is.

    Raises:
        LimaCharlieError: it cannot be read.
    """
    if section.startswith("hive/"):
        return await _hive(handle, section[5:], name)
    if section == "output":
        held = (await handle.outputs()).get(name)
        return None if held is None else Current(held, normalised_metadata(None), "")
    if section == "installation_key":
        for iid, key in (await handle.installation_keys()).items():
            if key.get("desc") == name:
                return Current(key, normalised_metadata(None), "", iid)
        return None
    if section == "extension":
        there = name in await handle.subscriptions()
        return Current({}, normalised_metadata(None), "") if there else None
    if section == "resource":
        names = (await handle.resources()).get(name)
        return None if names is None else Current(sorted(names), normalised_metadata(None), "")
    if section == "org_value":
        value = await _value(handle, name)
        return None if not value else Current(value, normalised_metadata(None), "")
    if section in SERVICES:
        return await _rule(handle, section, name)
    raise Invalid(f"Records of the section {section[:60]!a} are not written.")


async def write(
    handle: "OrganizationHandle",
    section: str,
    name: str,
    body: Any,
    metadata: Mapping[str, Any] | None,
    current: Current | None,
) -> None:
    """Make a record be so, once.

    Args:
        body, metadata: as a document has them; metadata of None leaves what is there, and of a new record
            what the cloud takes for granted.
        current: what was read just before; None when there was nothing.

    Raises:
        LimaCharlieError: as the client says; `Ambiguous` when nobody knows what came of it.
    """
    if section.startswith("hive/"):
        raw = current.raw if current is not None else {}
        held = raw if metadata is None else metadata
        whole = HiveMetadata(
            enabled=held.get("enabled") is True,
            expiry=held.get("expiry") or 0,
            tags=tuple(held.get("tags") or ()),
            comment=held.get("comment") or "",
            others={each: value for each, value in {**raw, **held}.items() if each not in METADATA},
        )
        expected = ABSENT if current is None else current.etag
        await handle.set_hive_record(section[5:], name, body, whole, expected)
    elif section == "output":
        form = normalised(section, name, body)
        options = {each: value for each, value in form.items() if each not in ("module", "for")}
        if current is not None:
            # An output cannot be changed, only made: what happens to a name that is taken is not documented.
            await handle.delete_output(name)
        try:
            await handle.create_output(name, str(form.get("module", "")), str(form.get("for", "")), options)
        except (Invalid, Denied):
            if current is not None:
                # Refused as it is wanted: better the old one than none.
                old = normalised(section, name, current.body)
                rest = {each: value for each, value in old.items() if each not in ("module", "for")}
                await handle.create_output(name, str(old.get("module", "")), str(old.get("for", "")), rest)
            raise
    elif section == "installation_key":
        form = normalised(section, name, body)
        # In the document's order: a push of the same document compares them as a list.
        tags = [*dict.fromkeys(tag for tag in listed_tags(body) if tag)]
        if current is None:
            await handle.create_installation_key(
                form["desc"], tags, public_root_ca=form["use_public_root_ca"]
            )
        else:
            await handle.update_installation_key(
                current.iid, form["desc"], tags, public_root_ca=form["use_public_root_ca"]
            )
    elif section == "extension":
        await handle.subscribe_extension(name)
    elif section == "resource":
        for each in sorted(set(body) - set(current.body if current is not None else ())):
            await handle.add_resource(name, each)
    elif section == "org_value":
        await handle.set_value(name, body)
    elif section in SERVICES:
        called = name.rpartition("/")[2]
        await handle.add_service_rule(SERVICES[section], called, normalised(section, name, body))
    else:
        raise Invalid(f"Records of the section {section[:60]!a} are not written.")


async def remove(handle: "OrganizationHandle", section: str, name: str, current: Current) -> None:
    """Take a record away, once.

    Args:
        current: what was read just before.

    Raises:
        LimaCharlieError: as the client says.
    """
    if section.startswith("hive/"):
        await handle.delete_hive_record(section[5:], name, current.etag)
    elif section == "output":
        await handle.delete_output(name)
    elif section == "installation_key":
        await handle.delete_installation_key(current.iid)
    elif section == "extension":
        await handle.unsubscribe_extension(name)
    elif section == "resource":
        for each in current.body:
            await handle.remove_resource(name, each)
    elif section == "org_value":
        await handle.set_value(name, "")
    elif section in SERVICES:
        kind, _, called = name.rpartition("/")
        words = {"exfil": kind, "yara": kind.removesuffix("s")}
        await handle.remove_service_rule(SERVICES[section], called, words.get(section, "rule"))
    else:
        raise Invalid(f"Records of the section {section[:60]!a} are not removed.")


async def _hive(handle: "OrganizationHandle", hive: str, name: str) -> Current | None:
    try:
        # The content of a secret never leaves the cloud.
        found = await (handle.hive_metadata if hive == "secret" else handle.hive_record)(hive, name)
    except Gone:
        return None
    if isinstance(found.body, dict) and "acl_restricted" in found.body:
        raise Denied(f"The content of {hive}/{name[:80]} is closed to this key by an access list.")
    return Current(
        found.body,
        normalised_metadata(found.metadata),
        found.etag,
        raw=found.metadata,
        author=found.author,
        modified=found.modified,
    )


async def _value(handle: "OrganizationHandle", name: str) -> str:
    try:
        return await handle.org_value(name)
    except Gone:
        return ""


async def _rule(handle: "OrganizationHandle", section: str, name: str) -> Current | None:
    kind, _, called = name.rpartition("/")
    if kind == "sources":
        held: Any = (await handle.service_rules("yara", "list_sources")).get(called)
        if isinstance(held, str):
            held = {"source": held}
    else:
        rules: Any = await handle.service_rules(SERVICES[section])
        held = ((rules.get(kind) or {}) if section == "exfil" else rules).get(called)
    return None if held is None else Current(held, normalised_metadata(None), "")
