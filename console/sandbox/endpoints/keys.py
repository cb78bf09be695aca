"""Installation keys, by which machines enroll, and ingestion keys, by which artifacts arrive."""

from typing import Any

from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.organizations import Organization


@table.add("GET", "/v1/installationkeys/{oid}")
def installation_keys(call: Call) -> object:
    """Installation keys by iid, below the oid."""
    one = call.organization("ikey.list")
    return {one.oid: call.world.configuration.installation_keys(one)}


@table.add("GET", "/v1/installationkeys/{oid}/{iid}")
def installation_key(call: Call) -> object:
    """One installation key."""
    found = call.world.configuration.installation_keys(call.organization("ikey.list")).get(call.params["iid"])
    if found is None:
        raise not_found()
    return found


def put_key(
    call: Call, one: Organization, iid: str | None, description: str, tags: list[str], public_root: bool
) -> str:
    """Make an installation key, or change one, under the caller's identity.

    Args:
        iid: of the one to change; None makes a new one.
        tags: all that it has from now on.

    Returns:
        Its iid.

    Raises:
        Refusal: 401 when `acl:` tags come or go without the permission for them, 404 for an unknown iid.
    """
    configuration = call.world.configuration
    text = ",".join(dict.fromkeys(tags))
    key: dict[str, Any]
    if iid is None:
        before: dict[str, Any] = {"tags": ""}
        key = configuration.new_installation_key(one, description, text, public_root)
    else:
        found = configuration.installation_keys(one).get(iid)
        if found is None:
            raise not_found()
        before = found
        # LimaCharlie sets the time of creation anew with every change.
        key = found | {"desc": description, "tags": text, "use_public_root_ca": public_root}
        key["created"] = call.world.clock() // 1000
    if _scopes(before["tags"]) != _scopes(text) and not call.allows(one.oid, "acl.set"):
        raise Refusal(401, "unauthorized: acl tags need acl.set", error_code="UNAUTHORIZED_ACL_TAG")
    configuration.set_installation_key(one, key["iid"], key)
    call.record(
        one,
        "config_change",
        f"installation key {description} {'created' if iid is None else 'changed'}",
        entity={"type": "installation_key", "name": key["iid"]},
        mtd={"desc": description, "tags": text},
    )
    made: str = key["iid"]
    return made


def _scopes(tags: str) -> set[str]:
    return {tag for tag in tags.split(",") if tag.startswith("acl:")}


def drop_key(call: Call, one: Organization, iid: str) -> None:
    """Remove an installation key under the caller's identity.

    Raises:
        Refusal: 404.
    """
    found = call.world.configuration.installation_keys(one).get(iid)
    if found is None:
        raise not_found()
    call.world.configuration.set_installation_key(one, iid, None)
    call.record(
        one,
        "config_change",
        f"installation key {found['desc']} removed",
        entity={"type": "installation_key", "name": iid},
        mtd={"desc": found["desc"]},
    )


@table.add("POST", "/v1/installationkeys/{oid}")
def put_installation_key(call: Call) -> object:
    """Make an installation key, or change one: tags come separated by commas, or each by itself."""
    one = call.organization("ikey.set")
    iid = call.either("iid") or None
    before: dict[str, Any] = {}
    if iid is not None:
        before = call.world.configuration.installation_keys(one).get(iid, {})
    description = call.either("desc")
    if description is None:
        description = before.get("desc")
    if not description:
        raise Refusal(400, "missing parameter desc")
    sent = call.form.get("tags", call.query.get("tags", ()))
    tags = [tag.strip() for value in sent for tag in value.split(",") if tag.strip()]
    root = call.either("use_public_root_ca")
    public = before.get("use_public_root_ca", False) if root is None else root.lower() in ("true", "1")
    return {"oid": one.oid, "iid": put_key(call, one, iid, description, tags, public)}


@table.add("DELETE", "/v1/installationkeys/{oid}")
def delete_installation_key(call: Call) -> object:
    """Remove an installation key: no machine enrolls with it any more."""
    one = call.organization("ikey.del")
    iid = call.either("iid")
    if not iid:
        raise Refusal(400, "missing parameter iid")
    drop_key(call, one, iid)
    return {}


@table.add("GET", "/v1/insight/{oid}/ingestion_keys")
def ingestion_keys(call: Call) -> object:
    """Ingestion keys by name."""
    return {"keys": call.world.configuration.ingestion_keys(call.organization("ingestkey.ctrl"))}


def _named(call: Call) -> str:
    name = call.either("name")
    if not name:
        raise Refusal(400, "missing parameter name")
    return name


@table.add("POST", "/v1/insight/{oid}/ingestion_keys")
def create_ingestion_key(call: Call) -> object:
    """Make an ingestion key; one that is called so ends."""
    one = call.organization("ingestkey.ctrl")
    name = _named(call)
    key = call.world.configuration.add_ingestion_key(one, name)
    call.record(
        one,
        "config_change",
        f"ingestion key {name} created",
        entity={"type": "ingestion_key", "name": name},
    )
    return {"name": name, "key": key}


@table.add("DELETE", "/v1/insight/{oid}/ingestion_keys")
def delete_ingestion_key(call: Call) -> object:
    """Remove an ingestion key."""
    one = call.organization("ingestkey.ctrl")
    name = _named(call)
    if name not in call.world.configuration.ingestion_keys(one):
        raise not_found()
    call.world.configuration.remove_ingestion_key(one, name)
    call.record(
        one,
        "config_change",
        f"ingestion key {name} removed",
        entity={"type": "ingestion_key", "name": name},
    )
    return {}
