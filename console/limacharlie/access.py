"""Who may do what: users, permissions, groups, API keys."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from console.limacharlie import answers
from console.limacharlie.errors import Gone, Invalid, Protocol
from console.limacharlie.handle import CloudPart, Done, Part, all_of, flag, succeeded
from console.limacharlie.tokens import IDENTITY, Scope
from console.limacharlie.transport import Call, organization_id
from store.secret import Secret

ROLES = ("Owner", "Administrator", "Operator", "Viewer", "Basic")
"""What a user may be made in one step (Go client, `users.go`); replaces everything granted directly."""

_GID = re.compile(r"[\w-]{1,128}", re.ASCII)


class UserAdded(msgspec.Struct, frozen=True):
    """A user was added to an organization, or invited."""

    email: str
    role: str
    """"" for none: a new user may do nothing."""
    invited: bool


class RoleSet(msgspec.Struct, frozen=True):
    """A user was given a role."""

    role: str
    permissions: tuple[str, ...]
    """All that is granted directly now."""


class KeyCreated(msgspec.Struct, frozen=True):
    """An API key was made. This is the only time that it is seen."""

    api_key: Secret
    key_hash: str


class CloudGroups(CloudPart):
    """Groups of organizations; for users' keys alone."""

    async def groups(self) -> list[dict[str, Any]]:
        """All groups that the user owns, each whole.

        Asks `GET groups/concurrent`, and where a cloud has not got that, `GET groups` and each one.

        Returns:
            [{group_id, name, owners, members, orgs: [{org_id, org_name}], perms}], other fields as received.

        Raises:
            Denied: the credential is an organization's key.
        """
        self._users_only("Groups are seen with a user's API key only.")
        try:
            answer = await self._send(Call("GET", "groups/concurrent", scope=IDENTITY))
            held = answers.member(answer.json(), "groups", answer.what)
            return [
                _group(each, answer.what)
                for each in answers.mappings(answers.given(held, []), answer.what, "groups")
            ]
        except (Gone, Invalid):
            return await all_of([self.group(gid) for gid in await self.group_names()])

    async def group_names(self) -> dict[str, str]:
        """The names of all groups that the user owns, by gid (`GET groups`).

        Raises:
            Denied: the credential is an organization's key.
        """
        self._users_only("Groups are seen with a user's API key only.")
        answer = await self._send(Call("GET", "groups", scope=IDENTITY))
        held = answers.member(answer.json(), "groups", answer.what)
        return {
            answers.text(answers.member(each, "gid", answer.what), answer.what, "gid"): answers.text(
                answers.member(each, "name", answer.what), answer.what, "name"
            )
            for each in answers.mappings(answers.given(held, []), answer.what, "groups")
        }

    async def group(self, gid: str) -> dict[str, Any]:
        """One group, whole; as an element of `groups`.

        Raises:
            Denied: the credential is an organization's key, or the user does not own the group.
            Gone: there is no such group.
        """
        self._users_only("Groups are seen with a user's API key only.")
        answer = await self._send(Call("GET", "groups/{gid}", {"gid": gid}, scope=IDENTITY))
        held = answers.member(answer.json(), "group", answer.what)
        group = _group(held, answer.what)
        if group["group_id"] != gid:
            raise Protocol(f"The answer to {answer.what} is another group.")
        return group

    async def group_logs(self, gid: str) -> list[dict[str, Any]]:
        """What was done to a group (`GET groups/{gid}/logs`): entries with an `action`, as received.

        Raises:
            Denied: the credential is an organization's key, or the user does not own the group.
        """
        self._users_only("Groups are seen with a user's API key only.")
        answer = await self._send(Call("GET", "groups/{gid}/logs", {"gid": _gid(gid)}, scope=IDENTITY))
        return answers.mappings(
            answers.given(answers.member(answer.json(), "logs", answer.what), []), answer.what, "logs"
        )

    async def create_group(self, name: str) -> str:
        """Make a group (`POST groups`).

        When the outcome is unknown, look for the name among the groups first: a second try makes a
        second group.

        Returns:
            Its gid.

        Raises:
            Denied: the credential is an organization's key.
            Ambiguous: the outcome is unknown.
        """
        self._users_only("Groups are made with a user's API key only.")
        if not name.strip():
            raise Invalid("A group needs a name.")
        return await self._change("POST", "groups", _group_created, form=[("name", name)])

    async def delete_group(self, gid: str) -> Done:
        """Delete a group (`DELETE groups/{gid}`): its members lose what it gave them."""
        return await self._group_change("DELETE", "groups/{gid}", gid)

    async def add_group_member(self, gid: str, email: str, *, invite: bool = False) -> Done:
        """Add a member, who receives the group's permissions (`POST groups/{gid}/users`).

        Args:
            invite: send an invitation to an address that LimaCharlie does not know.
        """
        form = [("member_email", email), ("invite_missing", flag(invite))]
        return await self._group_change("POST", "groups/{gid}/users", gid, form)

    async def remove_group_member(self, gid: str, email: str) -> Done:
        """Remove a member (`DELETE groups/{gid}/users`)."""
        return await self._group_change("DELETE", "groups/{gid}/users", gid, [("member_email", email)])

    async def add_group_owner(self, gid: str, email: str) -> Done:
        """Add an owner, who manages the group and receives nothing (`POST groups/{gid}/owners`)."""
        return await self._group_change("POST", "groups/{gid}/owners", gid, [("member_email", email)])

    async def remove_group_owner(self, gid: str, email: str) -> Done:
        """Remove an owner (`DELETE groups/{gid}/owners`)."""
        return await self._group_change("DELETE", "groups/{gid}/owners", gid, [("member_email", email)])

    async def add_group_organization(self, gid: str, oid: str) -> Done:
        """Let the group hold for an organization (`POST groups/{gid}/orgs`).

        Raises:
            Denied: the user does not own the group, or lacks `user.ctrl` in the organization.
        """
        return await self._group_change("POST", "groups/{gid}/orgs", gid, [("oid", oid)], oid)

    async def remove_group_organization(self, gid: str, oid: str) -> Done:
        """Let the group hold for an organization no longer (`DELETE groups/{gid}/orgs`)."""
        return await self._group_change("DELETE", "groups/{gid}/orgs", gid, [("oid", oid)], oid)

    async def set_group_permissions(self, gid: str, permissions: Sequence[str]) -> Done:
        """What the group gives (`POST groups/{gid}/permissions`): replaces the whole set.

        The API has no etag here: what somebody else set since it was read is overwritten.
        """
        form = [("perm", each) for each in dict.fromkeys(permissions)]
        return await self._group_change("POST", "groups/{gid}/permissions", gid, form)

    async def _group_change(
        self,
        method: str,
        template: str,
        gid: str,
        form: Sequence[tuple[str, str]] = (),
        oid: str | None = None,
    ) -> Done:
        """A change of a group; with a token for the organization that it is about, if any.

        Raises:
            Denied: the credential is an organization's key, or the user does not own the group.
            Gone: there is no such group.
            Ambiguous: the outcome is unknown.
        """
        self._users_only("Groups are changed with a user's API key only.")
        scope = Scope("organization", organization_id(oid)) if oid is not None else IDENTITY
        return await self._change(
            method, template, succeeded, form=form, scope=scope, segments={"gid": _gid(gid)}
        )


class Access(Part):
    """Users, permissions and API keys of an organization."""

    async def users(self) -> list[str]:
        """E-mail addresses of its direct users (`GET orgs/{oid}/users`)."""
        answer = await self._get("orgs/{oid}/users")
        return answers.texts(answers.member(answer.json(), "users", answer.what), answer.what, "users")

    async def permissions(self) -> dict[str, Any]:
        """Who holds what (`GET orgs/{oid}/users/permissions`), as received.

        Returns:
            user_permissions {email: [permission]} is what is granted directly; direct_users
            [{email, uid, perms, MFA_enabled, MFA_types}], from_groups {uid or email: {email, groups}}
            and group_info {gid: {name, perms, owners}} where the answer has them.
        """
        answer = await self._get("orgs/{oid}/users/permissions")
        held = answers.mapping(answer.json(), answer.what)
        granted = answers.mapping(
            answers.member(held, "user_permissions", answer.what), answer.what, "user_permissions"
        )
        for permissions in granted.values():
            answers.texts(permissions, answer.what, "user_permissions")
        answers.mappings(answers.given(held.get("direct_users"), []), answer.what, "direct_users")
        for name in ("from_groups", "group_info"):
            for each in answers.mapping(answers.given(held.get(name), {}), answer.what, name).values():
                answers.mapping(each, answer.what, f"each of {name}")
        return held

    async def keys(self) -> dict[str, dict[str, Any]]:
        """Its API keys by hash (`GET orgs/{oid}/keys`): name, priv, by, allowed_ip_range, last_used."""
        answer = await self._get("orgs/{oid}/keys")
        held = answers.mapping(
            answers.given(answers.member(answer.json(), "api_keys", answer.what), {}), answer.what, "api_keys"
        )
        keys = {name: answers.mapping(key, answer.what, "each key") for name, key in held.items()}
        for key in keys.values():
            answers.texts(key.get("priv"), answer.what, "priv")
            answers.own_organization(key, self.oid, answer.what)
        return keys

    # What changes it

    async def add_user(self, email: str, role: str = "", *, invite: bool = False) -> UserAdded:
        """Add a user (`POST orgs/{oid}/users`).

        Args:
            role: of ROLES; without one the user may do nothing until something is granted.
            invite: send an invitation to an address that LimaCharlie does not know.

        Raises:
            Denied: `user.ctrl` is missing.
            Invalid: nobody has this address, and no invitation was asked for.
        """
        form = [("email", _email(email))]
        if role:
            form.append(("role", _role(role)))
        # Always said: the official clients disagree about what is meant when nothing is.
        form.append(("invite_missing", flag(invite)))

        def read(value: Any, what: str) -> UserAdded:
            details = succeeded(value, what).details
            given, sent = (
                answers.given(details.get("role"), ""),
                answers.given(details.get("invite_sent"), False),
            )
            return UserAdded(
                email, answers.text(given, what, "role"), answers.truth(sent, what, "invite_sent")
            )

        return await self._write("POST", "orgs/{oid}/users", read, form=form)

    async def remove_user(self, email: str) -> Done:
        """Take a user's own access away (`DELETE orgs/{oid}/users`); what groups give stays."""
        return await self._write("DELETE", "orgs/{oid}/users", succeeded, form=[("email", _email(email))])

    async def grant(self, email: str, permission: str) -> Done:
        """Grant one permission directly (`POST orgs/{oid}/users/permissions`)."""
        form = [("email", _email(email)), ("perm", permission)]
        return await self._write("POST", "orgs/{oid}/users/permissions", succeeded, form=form)

    async def revoke(self, email: str, permission: str) -> Done:
        """Take one directly granted permission away (`DELETE orgs/{oid}/users/permissions`)."""
        form = [("email", _email(email)), ("perm", permission)]
        return await self._write("DELETE", "orgs/{oid}/users/permissions", succeeded, form=form)

    async def set_role(self, email: str, role: str) -> RoleSet:
        """Replace everything granted directly by a role (`PUT orgs/{oid}/users/role`, JSON).

        Args:
            role: of ROLES.
        """

        def read(value: Any, what: str) -> RoleSet:
            details = succeeded(value, what).details
            given = answers.text(answers.member(details, "role", what), what, "role")
            if given != role:
                answers.refuse(what, "names another role")
            permissions = answers.texts(answers.member(details, "permissions", what), what, "permissions")
            return RoleSet(given, tuple(permissions))

        body = {"email": _email(email), "role": _role(role)}
        return await self._write("PUT", "orgs/{oid}/users/role", read, body=body)

    async def create_key(
        self, name: str, permissions: Sequence[str], allowed_ip_range: str = ""
    ) -> KeyCreated:
        """Make an API key (`POST orgs/{oid}/keys`).

        When the outcome is unknown the key may be there, with a secret that nobody holds: look for
        the name among the keys, and delete it.

        Args:
            allowed_ip_range: CIDR; "" for everywhere.

        Raises:
            Denied: `apikey.ctrl` is missing.
            Ambiguous: the outcome is unknown.
        """
        if not permissions or any("," in each or not each.strip() for each in permissions):
            raise Invalid("An API key needs permissions, each one word without a comma.")
        form = [("key_name", name), ("perms", ",".join(permissions))]
        if allowed_ip_range:
            form.append(("allowed_ip_range", allowed_ip_range))

        def read(value: Any, what: str) -> KeyCreated:
            details = succeeded(value, what).details
            secret = answers.text(answers.member(details, "api_key", what), what, "api_key")
            key_hash = answers.text(answers.member(details, "key_hash", what), what, "key_hash")
            if not secret or not key_hash:
                answers.refuse(what, "has no key")
            return KeyCreated(Secret(secret), key_hash)

        return await self._write("POST", "orgs/{oid}/keys", read, form=form)

    async def delete_key(self, key_hash: str) -> Done:
        """Delete an API key (`DELETE orgs/{oid}/keys`); its tokens go on for up to an hour."""
        return await self._write("DELETE", "orgs/{oid}/keys", succeeded, form=[("key_hash", key_hash)])


def _group(value: Any, what: str) -> dict[str, Any]:
    """A group of the expected shape; `gid` (of a listing) is `group_id` as well."""
    group = dict(answers.mapping(value, what, "group"))
    gid = group.get("group_id") or group.get("gid")
    group["group_id"] = answers.text(gid, what, "group_id")
    answers.text(answers.member(group, "name", what), what, "name")
    for name in ("owners", "members", "perms"):
        group[name] = answers.sequence(answers.given(answers.member(group, name, what), []), what, name)
    group["orgs"] = answers.mappings(answers.given(answers.member(group, "orgs", what), []), what, "orgs")
    return group


def _group_created(value: Any, what: str) -> str:
    data = answers.member(succeeded(value, what).details, "data", what)
    gid = answers.text(answers.member(data, "gid", what), what, "gid")
    if not _GID.fullmatch(gid):
        answers.refuse(what, "has no group's id")
    return gid


def _gid(gid: str) -> str:
    # `groups/concurrent` is a listing.
    if not isinstance(gid, str) or not _GID.fullmatch(gid) or gid == "concurrent":
        raise Invalid(f"{str(gid)[:80]!a} is not a group's id.")
    return gid


def _email(email: str) -> str:
    if "@" not in email or email != email.strip():
        raise Invalid(f"{email[:80]!a} is not an e-mail address.")
    return email


def _role(role: str) -> str:
    if role not in ROLES:
        raise Invalid(f"{role[:80]!a} is not a role; there are {', '.join(ROLES)}.")
    return role
