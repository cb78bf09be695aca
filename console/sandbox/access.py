"""Who may do what at the provider: staff, groups, contacts, API keys, and the mistakes of real providers."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from console.sandbox import catalogue, names, snapshot
from console.sandbox.chance import Chance, hex_of, uuid_of
from console.sandbox.organizations import DAY, Organization

Permissions = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """A person with a user API key."""

    email: str
    uid: str
    api_key: str
    mfa: bool


@dataclass(slots=True)
class Group:
    """An Organization Group. It is changed in place, by `Access` only."""

    gid: str
    name: str
    owners: tuple[str, ...]
    members: tuple[str, ...]
    permissions: Permissions
    holds: dict[int, None]
    """Indexes of organizations, in the order in which they came."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """What was done to it, oldest first: {action, actor, ts, ...}."""

    @property
    def organizations(self) -> tuple[int, ...]:
        """Indexes."""
        return tuple(self.holds)


@dataclass(frozen=True, slots=True)
class Key:
    """An organization's API key."""

    secret: str
    key_hash: str
    name: str
    permissions: Permissions
    by: str
    allowed_ip_range: str
    last_used: int
    """Seconds, UTC; 0 when never."""


def identity(seed: int, email: str) -> User:
    """The user behind a mail address."""
    chance = Chance(seed, "user", email)
    return User(
        email=email,
        uid=hex_of(seed, "uid", email, length=28),
        api_key=uuid_of(seed, "user key", email),
        mfa=email.endswith(names.PROVIDER_DOMAIN) or chance.happens(55),
    )


def _staff(seed: int, team: str, count: int) -> tuple[str, ...]:
    mails = []
    for number in range(count):
        chance = Chance(seed, "staff", team, number)
        first, last = chance.pick(names.FIRST).lower(), chance.pick(names.LAST).lower()
        mails.append(f"{first.replace('ø', 'o')}.{last}@{names.PROVIDER_DOMAIN}")
    return tuple(dict.fromkeys(mails))


class Access:
    """The provider's people and grants: computed from the seed, under what somebody changed."""

    def __init__(self, seed: int, organizations: list[Organization], now: int) -> None:
        """Prepare.

        Args:
            organizations: the world's own list, the deleted ones among them.
            now: seconds, UTC.
        """
        self._seed = seed
        self._organizations = organizations
        self._now = now
        self.root = f"root@{names.PROVIDER_DOMAIN}"
        self.analysts = _staff(seed, "l1", 12)
        self.seniors = _staff(seed, "l2", 6)
        self.engineers = _staff(seed, "engineers", 5)
        self.administrators = _staff(seed, "administrators", 3)
        self.responders = _staff(seed, "responders", 3)
        self.managers = _staff(seed, "managers", 3)
        self.left = _staff(seed, "left", 1)[0]
        """Left the provider in spring; keys and grants of theirs are still there."""
        self.leaked = self.contacts(organizations[2 % len(organizations)])[0][0]
        """A customer's user who stands in a group over many customers."""
        self.staff = (
            self.root, *self.analysts, *self.seniors, *self.engineers, *self.administrators, *self.responders,
            *self.managers,
        )  # fmt: skip
        self.groups = self._groups()
        self.by_gid = {group.gid: group for group in self.groups}
        self.users: dict[str, User] = {}
        self.by_uid: dict[str, User] = {}
        self.version = 0
        """Grows with every change of who sees which organization."""
        self._granted: dict[int, dict[str, Permissions]] = {}
        self._keys_made: dict[int, list[Key]] = {}
        self._keys_gone: set[str] = set()
        self._keys_used: dict[str, int] = {}
        self._made = 0
        # By e-mail, so that nobody's listing has to look into ten thousand organizations.
        self._directly: dict[str, set[int]] = {}
        for email in (*self.staff, self.left):
            self.person(email)
        for organization in organizations:
            for email in self.seeded(organization):
                self.person(email)
                self._directly.setdefault(email, set()).add(organization.index)
        self._invented = len(self.users)
        """How many people the seed knows."""

    def kept(self, places: snapshot.Places) -> snapshot.Access:
        """What a snapshot keeps of it."""
        return snapshot.Access(
            people=list(self.users)[self._invented :],
            groups=[
                snapshot.Group(
                    gid=group.gid,
                    name=group.name,
                    owners=list(group.owners),
                    members=list(group.members),
                    permissions=list(group.permissions),
                    holds=list(group.holds),
                    log=group.log,
                )
                for group in self.groups
            ],
            granted=places.named(
                {
                    index: {email: list(held) for email, held in granted.items()}
                    for index, granted in self._granted.items()
                }
            ),
            keys=places.named(
                {
                    index: [
                        snapshot.Key(
                            secret=key.secret,
                            key_hash=key.key_hash,
                            name=key.name,
                            permissions=list(key.permissions),
                            by=key.by,
                            allowed_ip_range=key.allowed_ip_range,
                        )
                        for key in made
                    ]
                    for index, made in self._keys_made.items()
                }
            ),
            keys_gone=sorted(self._keys_gone),
            keys_used=dict(sorted(self._keys_used.items())),
            made=self._made,
        )

    def resume(self, kept: snapshot.Access, places: snapshot.Places) -> None:
        """Become what a snapshot kept, over nothing but the seed.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for email in kept.people:
            self.person(email)
        self.groups = [self._resumed(each, places) for each in kept.groups]
        self.by_gid = {group.gid: group for group in self.groups}
        if len(self.by_gid) != len(self.groups):
            raise snapshot.BadSnapshot("access.groups: two groups have the same gid")
        for index, granted in places.placed(kept.granted, "access.granted").items():
            self._known(granted, "access.granted")
            for email in self.seeded(self._organizations[index]):
                self._directly[email].discard(index)
            for email in granted:
                self._directly.setdefault(email, set()).add(index)
            self._granted[index] = {email: tuple(held) for email, held in granted.items()}
        for index, made in places.placed(kept.keys, "access.keys").items():
            self._keys_made[index] = [self._resumed_key(key) for key in made]
        self._keys_gone = set(kept.keys_gone)
        self._keys_used = dict(kept.keys_used)
        self._made = kept.made
        self.version += 1

    def _known(self, emails: Iterable[str], where: str) -> None:
        for email in emails:
            if email not in self.users:
                raise snapshot.BadSnapshot(
                    f"{where}: nobody is called {email[:64]}, also not in access.people"
                )

    def _resumed(self, kept: snapshot.Group, places: snapshot.Places) -> Group:
        self._known((*kept.owners, *kept.members), "access.groups")
        if not kept.owners:
            raise snapshot.BadSnapshot("access.groups: a group has no owner")
        for row in kept.log:
            snapshot.shaped(snapshot.Action, row, "access.groups.log")
        return Group(
            gid=kept.gid,
            name=kept.name,
            owners=tuple(kept.owners),
            members=tuple(kept.members),
            permissions=tuple(kept.permissions),
            holds=dict.fromkeys(places.holds(index, "access.groups.holds") for index in kept.holds),
            log=kept.log,
        )

    @staticmethod
    def _resumed_key(kept: snapshot.Key) -> Key:
        if kept.allowed_ip_range:
            try:
                ipaddress.ip_network(kept.allowed_ip_range, strict=False)
            except ValueError:
                raise snapshot.BadSnapshot(
                    f"access.keys: {kept.allowed_ip_range[:64]} is no range of addresses"
                ) from None
        return Key(
            secret=kept.secret,
            key_hash=kept.key_hash,
            name=kept.name,
            permissions=tuple(kept.permissions),
            by=kept.by,
            allowed_ip_range=kept.allowed_ip_range,
            last_used=0,
        )

    def _group(
        self,
        name: str,
        owners: tuple[str, ...],
        members: tuple[str, ...],
        permissions: Permissions,
        held: tuple[int, ...],
    ) -> Group:
        began = self._now - 300 * DAY
        return Group(
            gid=uuid_of(self._seed, "gid", name),
            name=name,
            owners=owners,
            members=members,
            permissions=tuple(dict.fromkeys(permissions)),
            holds=dict.fromkeys(held),
            log=[
                {"action": "create_group", "actor": owners[0], "ts": began},
                *(
                    {
                        "action": "add_member",
                        "actor": owners[0],
                        "member_email": email,
                        "ts": began + 60 + DAY * place,
                    }
                    for place, email in enumerate(members)
                ),
            ],
        )

    def _groups(self) -> list[Group]:
        every = tuple(one.index for one in self._organizations)
        urgent = tuple(one.index for one in self._organizations if one.tier in ("gold", "silver"))
        owners = (self.root, self.administrators[0])
        groups = [
            # Drifted from its role: dr.set was once lent to one analyst, so all of them have it for good.
            self._group("SOC L1", owners, self.analysts, (*catalogue.SOC_L1, "dr.set"), every),
            self._group("SOC L2", owners, self.seniors, catalogue.SOC_L2, every),
            self._group("Detection Engineering", owners, self.engineers, catalogue.ENGINEERS, every),
            self._group(
                "Platform Administrators",
                (self.root,),
                self.administrators,
                (*catalogue.ROLES["Administrator"], "apikey.ctrl"),
                every,
            ),
            self._group(
                "Active Responders",
                owners,
                (*self.responders, self.seniors[0], self.leaked),
                catalogue.RESPONDERS,
                urgent,
            ),
            self._group("Reporting", owners, self.managers, catalogue.REPORTING, every),
            self._group(
                "Forensics contractors 2025",
                (self.root, self.left),
                (self.left,),
                catalogue.RESPONDERS,
                every[::9],
            ),
        ]
        for region, region_name, _, _ in names.REGIONS:
            held = tuple(one.index for one in self._organizations if one.region == region)
            if held:
                groups.append(
                    self._group(
                        f"Night shift {region_name}",
                        (self.root, self.seniors[1]),
                        (self.analysts[len(groups) % len(self.analysts)], self.seniors[2]),
                        catalogue.SOC_L2,
                        held,
                    )
                )
        return groups

    def contacts(self, organization: Organization) -> tuple[tuple[str, Permissions], ...]:
        """The customer's own people and what they may do, before anybody changed it."""
        if organization.blank:
            return ()
        chance = Chance(self._seed, "contacts", organization.index)
        found: list[tuple[str, Permissions]] = []
        for number in range(1 + chance.below(3)):
            first, last = chance.pick(names.FIRST).lower(), chance.pick(names.LAST).lower()
            email = f"{first.replace('ø', 'o')}.{last}@{organization.domain}"
            granted = catalogue.ROLES["Viewer"] if number == 0 else catalogue.ROLES["Operator"]
            if number == 0 and organization.index % 41 == 5:
                granted = catalogue.ROLES["Owner"]
            elif number == 0 and organization.index % 37 == 11:
                granted = (*granted, "user.ctrl", "apikey.ctrl", "billing.ctrl")
            elif number == 2:
                granted = catalogue.ROLES["Basic"]
            found.append((email, granted))
        return tuple(dict(found).items())

    def direct(self, organization: Organization) -> dict[str, Permissions]:
        """What is granted to users on the organization itself, groups aside. Not to be changed."""
        changed = self._granted.get(organization.index)
        return self.seeded(organization) if changed is None else changed

    def seeded(self, organization: Organization) -> dict[str, Permissions]:
        """The direct grants before anybody changed them."""
        if organization.blank:
            return {}
        index = organization.index
        granted: dict[str, Permissions] = {self.root: catalogue.ALL}
        granted.update(self.contacts(organization))
        if index % 17 == 3:
            granted[self.engineers[0]] = (
                "org.get",
                "dr.list",
                "dr.set",
                "dr.del",
                "sensor.list",
                "sensor.task",
            )
        if index % 29 == 7:
            granted[self.left] = (*catalogue.SOC_L2, "secret.get", "user.ctrl")
        if index % 53 == 9:
            granted[self.analysts[1]] = catalogue.SOC_L1
        return granted

    def groups_over(self, organization: Organization) -> list[Group]:
        """The groups that hold the organization."""
        return [group for group in self.groups if organization.index in group.holds]

    def permissions(self, email: str, organization: Organization) -> Permissions:
        """Everything a user may do there: direct grants, and every group with both as members."""
        grants = []
        direct = self.direct(organization).get(email)
        if direct is not None:
            grants.append(direct)
        grants += [
            group.permissions
            for group in self.groups
            if email in group.members and organization.index in group.holds
        ]
        return _united(tuple(grants))

    def organizations_of(self, email: str) -> list[Organization]:
        """The organizations that a user sees."""
        held = set(self._directly.get(email, ()))
        for group in self.groups:
            if email in group.members:
                held.update(group.holds)
        return [self._organizations[index] for index in sorted(held)]

    def person(self, email: str) -> User:
        """The user behind a mail address, from now on known."""
        user = self.users.get(email)
        if user is None:
            user = self.users[email] = identity(self._seed, email)
            self.by_uid[user.uid] = user
        return user

    def join(self, organization: Organization, creator: str) -> None:
        """Know an organization that somebody has just made, and who owns all of it."""
        self.grant(organization, creator, catalogue.ALL)

    def leave(self, organization: Organization) -> None:
        """Take a deleted organization from everybody."""
        index = organization.index
        for email in self.direct(organization):
            self._directly.get(email, set()).discard(index)
        self._granted[index] = {}
        for group in self.groups:
            group.holds.pop(index, None)
        self.version += 1

    def grant(self, organization: Organization, email: str, permissions: Permissions) -> None:
        """Replace what is granted to a user directly; () leaves a user without any privilege."""
        self.person(email)
        self._granted[organization.index] = self.direct(organization) | {
            email: tuple(dict.fromkeys(permissions))
        }
        self._directly.setdefault(email, set()).add(organization.index)
        self.version += 1

    def remove(self, organization: Organization, email: str) -> None:
        """Take a user's own access away; what groups give is not touched."""
        left = dict(self.direct(organization))
        left.pop(email, None)
        self._granted[organization.index] = left
        self._directly.get(email, set()).discard(organization.index)
        self.version += 1

    def make_group(self, name: str, owner: str, now: int) -> Group:
        """A new, empty group.

        Args:
            now: seconds, UTC.
        """
        self._made += 1
        group = Group(uuid_of(self._seed, "made gid", self._made), name, (owner,), (), (), {})
        self.groups.append(group)
        self.by_gid[group.gid] = group
        self.log_group(group, "create_group", owner, now)
        return group

    def drop_group(self, group: Group) -> None:
        """Delete a group, and with it what it gave."""
        self.groups.remove(group)
        del self.by_gid[group.gid]
        self.version += 1

    def log_group(self, group: Group, action: str, actor: str, now: int, **more: Any) -> None:
        """Put a change into the group's own log; the audit logs of its organizations do not have it."""
        group.log.append({"action": action, "actor": actor, **more, "ts": now})
        self.version += 1

    def keys(self, organization: Organization) -> list[Key]:
        """The API keys of an organization."""
        found = [] if organization.blank else self._seeded_keys(organization)
        found += self._keys_made.get(organization.index, ())
        if not self._keys_gone and not self._keys_used:
            return found
        return [
            replace(key, last_used=self._keys_used.get(key.key_hash, key.last_used))
            for key in found
            if key.key_hash not in self._keys_gone
        ]

    def make_key(
        self, organization: Organization, name: str, permissions: Permissions, by: str, allowed_ip_range: str
    ) -> Key:
        """A new API key.

        Args:
            by: who makes it.
            allowed_ip_range: CIDR; "" for anywhere.
        """
        self._made += 1
        key = Key(
            secret=uuid_of(self._seed, "made key", self._made),
            key_hash=hex_of(self._seed, "made key hash", self._made, length=64),
            name=name,
            permissions=tuple(dict.fromkeys(permissions)),
            by=by,
            allowed_ip_range=allowed_ip_range,
            last_used=0,
        )
        self._keys_made.setdefault(organization.index, []).append(key)
        return key

    def drop_key(self, key: Key) -> None:
        """Delete a key; tokens that it was exchanged for stay good until they end."""
        self._keys_gone.add(key.key_hash)

    def use_key(self, key: Key, now: int) -> None:
        """Note that a key was exchanged for a token."""
        self._keys_used[key.key_hash] = now

    def _seeded_keys(self, organization: Organization) -> list[Key]:
        index, now = organization.index, self._now
        chance = Chance(self._seed, "keys", index)
        found = [
            self._key(
                organization,
                "limegrove-automation[bulk]",
                catalogue.ALL,
                self.root,
                "127.0.0.0/8",
                now - 3600,
            ),
            self._key(
                organization,
                "siem-forwarder",
                ("org.get", "insight.det.get", "sensor.list", "output.list"),
                self.engineers[index % len(self.engineers)],
                f"203.0.113.{chance.between(1, 250)}/32",
                now - chance.between(60, 7200),
            ),
        ]
        if chance.happens(45):
            found.append(
                self._key(
                    organization,
                    "ci-deploy[bulk]",
                    catalogue.ENGINEERS,
                    self.engineers[1],
                    "",
                    now - chance.between(1, 20) * DAY,
                )
            )
        if index % 5 == 1:
            by = self.left if index % 2 else self.administrators[0]
            found.append(
                self._key(
                    organization,
                    "old-soar-connector",
                    (
                        "org.get",
                        "sensor.list",
                        "sensor.task",
                        "insight.evt.get",
                        "insight.det.get",
                        "secret.get",
                    ),
                    by,
                    "",
                    now - chance.between(300, 700) * DAY,
                )
            )
        if chance.happens(18):
            contact = self.contacts(organization)[0][0]
            found.append(
                self._key(
                    organization,
                    "monthly report",
                    catalogue.REPORTING,
                    contact,
                    "",
                    now - chance.between(2, 30) * DAY,
                )
            )
        return found

    def _key(
        self,
        organization: Organization,
        name: str,
        permissions: Permissions,
        by: str,
        ip_range: str,
        last_used: int,
    ) -> Key:
        return Key(
            secret=uuid_of(self._seed, "org key", organization.index, name),
            key_hash=hex_of(self._seed, "key hash", organization.index, name, length=64),
            name=name,
            permissions=tuple(dict.fromkeys(permissions)),
            by=by,
            allowed_ip_range=ip_range,
            last_used=last_used,
        )


@lru_cache(maxsize=512)
def _united(grants: tuple[Permissions, ...]) -> Permissions:
    if len(grants) == 1:
        return grants[0]
    return tuple(dict.fromkeys(permission for grant in grants for permission in grant))
