"""Who may do what: users, permissions, groups, API keys."""

from typing import Any

from console.limacharlie import answers
from console.limacharlie.errors import Gone, Invalid, Protocol
from console.limacharlie.handle import CloudPart, Part, all_of
from console.limacharlie.tokens import IDENTITY
from console.limacharlie.transport import Call


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
            return [_group(each, answer.what) for each in answers.mappings(held or [], answer.what, "groups")]
        except (Gone, Invalid):
            pass
        answer = await self._send(Call("GET", "groups", scope=IDENTITY))
        held = answers.member(answer.json(), "groups", answer.what)
        names = [
            answers.text(answers.member(each, "gid", answer.what), answer.what, "gid")
            for each in answers.mappings(held or [], answer.what, "groups")
        ]
        return await all_of([self.group(name) for name in names])

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
        answers.mappings(held.get("direct_users") or [], answer.what, "direct_users")
        for name in ("from_groups", "group_info"):
            for each in answers.mapping(held.get(name) or {}, answer.what, name).values():
                answers.mapping(each, answer.what, f"each of {name}")
        return held

    async def keys(self) -> dict[str, dict[str, Any]]:
        """Its API keys by hash (`GET orgs/{oid}/keys`): name, priv, by, allowed_ip_range, last_used."""
        answer = await self._get("orgs/{oid}/keys")
        held = answers.mapping(
            answers.member(answer.json(), "api_keys", answer.what) or {}, answer.what, "api_keys"
        )
        keys = {name: answers.mapping(key, answer.what, "each key") for name, key in held.items()}
        for key in keys.values():
            answers.texts(key.get("priv"), answer.what, "priv")
            answers.own_organization(key, self.oid, answer.what)
        return keys


def _group(value: Any, what: str) -> dict[str, Any]:
    """A group of the expected shape; `gid` (of a listing) is `group_id` as well."""
    group = dict(answers.mapping(value, what, "group"))
    gid = group.get("group_id") or group.get("gid")
    group["group_id"] = answers.text(gid, what, "group_id")
    answers.text(answers.member(group, "name", what), what, "name")
    for name in ("owners", "members", "perms"):
        group[name] = answers.sequence(answers.member(group, name, what) or [], what, name)
    group["orgs"] = answers.mappings(answers.member(group, "orgs", what) or [], what, "orgs")
    return group
