"""Who may do what at the provider: staff, groups, contacts, API keys, and the mistakes of real providers."""

from dataclasses import dataclass
from functools import lru_cache

from console.sandbox import catalogue, names
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


@dataclass(frozen=True, slots=True)
class Group:
    """An Organization Group."""

    gid: str
    name: str
    owners: tuple[str, ...]
    members: tuple[str, ...]
    permissions: Permissions
    organizations: tuple[int, ...]
    """Indexes."""
    holds: frozenset[int]


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
    """The provider's people and grants; each answer is computed from the seed."""

    def __init__(self, seed: int, organizations: tuple[Organization, ...], now: int) -> None:
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
        for email in (*self.staff, self.left):
            self.users[email] = identity(seed, email)
        for organization in organizations:
            for email, _ in self.contacts(organization):
                self.users.setdefault(email, identity(seed, email))
        self.by_uid = {user.uid: user for user in self.users.values()}

    def _group(
        self,
        name: str,
        owners: tuple[str, ...],
        members: tuple[str, ...],
        permissions: Permissions,
        held: tuple[int, ...],
    ) -> Group:
        return Group(
            gid=uuid_of(self._seed, "gid", name),
            name=name,
            owners=owners,
            members=members,
            permissions=tuple(dict.fromkeys(permissions)),
            organizations=held,
            holds=frozenset(held),
        )

    def _groups(self) -> tuple[Group, ...]:
        every = tuple(range(len(self._organizations)))
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
        return tuple(groups)

    def contacts(self, organization: Organization) -> tuple[tuple[str, Permissions], ...]:
        """The customer's own people and what they may do."""
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
        """What is granted to users on the organization itself, groups aside."""
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
        if email == self.root:
            return list(self._organizations)
        held = {index for group in self.groups if email in group.members for index in group.holds}
        return [one for one in self._organizations if one.index in held or email in self.direct(one)]

    def keys(self, organization: Organization) -> list[Key]:
        """The API keys of an organization."""
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
