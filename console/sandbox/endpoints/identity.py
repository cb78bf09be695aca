"""Token exchange and who am I."""

import ipaddress
import time

from console.sandbox.access import Permissions
from console.sandbox.calls import REPLAY, Call, Refusal, table
from console.sandbox.endpoints.replay import replay
from console.sandbox.tokens import expiry


@table.add("POST", "/", open=True)
def exchange(call: Call) -> object:
    """A token for a key (form), or a replay (JSON): two hosts of LimaCharlie's on one port."""
    if "json" in call.content_type:
        call.template = REPLAY
        return replay(call)
    secret, uid, oid = call.sent("secret"), call.sent("uid"), call.sent("oid")
    call.oid = oid if oid != "-" else ""
    if not secret:
        raise Refusal(401, "unauthorized: no secret")
    try:
        expires = expiry(call.sent("expiry"), int(time.time()))
    except (ValueError, OverflowError):
        raise Refusal(400, "bad parameter expiry") from None
    narrowed = frozenset(name for name in call.sent("perms").split(",") if name)

    def kept(held: Permissions) -> Permissions:
        return tuple(name for name in held if name in narrowed) if narrowed else held

    world = call.world
    if uid:
        user = world.access.by_uid.get(uid)
        if user is None:
            raise Refusal(401, "user not found")
        if secret != user.api_key:
            raise Refusal(401, "unknown api key")
        ident, credential = user.email, user.uid
        granted: dict[str, Permissions] = {}
        if oid == "-":
            pass
        elif oid:
            organization = world.by_oid.get(oid)
            held = world.access.permissions(ident, organization) if organization else ()
            if not held:
                raise Refusal(401, "unauthorized")
            granted[oid] = kept(held)
        else:
            granted = {
                one.oid: kept(world.access.permissions(ident, one))
                for one in world.access.organizations_of(ident)
            }
        shared = not oid
    else:
        if oid in ("", "-"):
            raise Refusal(401, "unauthorized: only user-based identities are allowed without an oid")
        organization = world.by_oid.get(oid)
        if organization is None:
            raise Refusal(401, "unauthorized")
        key = next((key for key in world.access.keys(organization) if key.secret == secret), None)
        if key is None:
            raise Refusal(401, "unknown api key")
        if not _allowed(call.peer, key.allowed_ip_range):
            raise Refusal(401, "unauthorized: source address is not allowed for this api key")
        world.access.use_key(key, world.clock() // 1000)
        ident, credential, shared = key.name, key.key_hash, False
        granted = {oid: kept(key.permissions)}
    return {
        "jwt": call.sandbox.tokens.issue(
            ident=ident,
            uid=uid,
            credential=credential,
            expires=expires,
            permissions=granted,
            shared=shared,
            ip=call.peer,
        )
    }


def _allowed(peer: str, allowed_ip_range: str) -> bool:
    """Whether a key may be used from an address."""
    if not allowed_ip_range:
        return True
    address = ipaddress.ip_address(peer)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in ipaddress.ip_network(allowed_ip_range, strict=False)


@table.add("GET", "/v1/who")
def who(call: Call) -> object:
    """The caller, and what the token allows."""
    claims = call.token()
    if claims.shared:
        return {
            "ident": claims.ident,
            "orgs": list(claims.permissions),
            "perms": [],
            "user_perms": {oid: sorted(held) for oid, held in claims.permissions.items()},
        }
    return {
        "ident": claims.ident,
        "orgs": list(claims.permissions),
        "perms": sorted(permission for held in claims.permissions.values() for permission in held),
    }
