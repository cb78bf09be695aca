"""The stage set: one provider with everything it has, decided by a seed."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from console.sandbox import activity, names, sensors, snapshot
from console.sandbox import organizations as customers
from console.sandbox.access import Access
from console.sandbox.activity import Audit
from console.sandbox.caserules import EXTENSION as CASES
from console.sandbox.cases import Cases
from console.sandbox.chance import hex_of, numbers_of
from console.sandbox.configuration import Configuration
from console.sandbox.detections import Detections
from console.sandbox.events import Events
from console.sandbox.organizations import Organization
from console.sandbox.payloads import Jobs, Payloads
from console.sandbox.rules import Value
from console.sandbox.search import Searches

if TYPE_CHECKING:
    from console.sandbox.calls import Call


class World:
    """A provider and its organizations.

    What nobody changed is a function of the seed and of `now_ms`; what somebody changed lies over it
    and is the only state. Whoever builds a second world with the same arguments has the same world.
    """

    def __init__(
        self, *, seed: int = 7, orgs: int = 216, detections: int = 12_000, now_ms: int | None = None
    ) -> None:
        """Decide everything.

        Args:
            seed: another number, another provider.
            orgs: how many organizations, at least 1.
            detections: how many over all of them, in the 30 days before now.
            now_ms: milliseconds, UTC, truncated to the second; the time of the call when None.
        """
        if orgs < 1 or detections < 0:
            raise ValueError("A world has at least one organization, and no fewer than 0 detections.")
        self.seed = seed
        self.orgs = orgs
        """How many the seed made, whatever was made or deleted since."""
        self.past = detections
        """How many detections the seed made over all of them."""
        self.now_ms = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) // 1000 * 1000
        self.now = self.now_ms // 1000
        self.organizations = customers.build(seed, orgs, detections, self.now)
        """By index, the deleted ones among them: an index stays with its organization for good."""
        self.by_oid = {organization.oid: organization for organization in self.organizations}
        """Those that are there."""
        count = len(self.organizations)
        loudest = sorted(self.organizations, key=lambda one: -one.detections)
        quiet = 4 if count >= 6 else None
        self.unauthorized: Organization | None = None if quiet is None else self.organizations[quiet]
        """Listed, and refuses everything."""
        self.hostile = next(
            one for one in loudest[min(2, count - 1) :] + loudest if one is not self.unauthorized
        )
        """Its first sensor calls itself something that is code to a terminal."""
        self.failing = self.organizations[1 % count]
        """Its syslog output fails."""
        self.over_quota = self.organizations[3 % count]
        self.access = Access(seed, self.organizations, self.now)
        self.configuration = Configuration(seed, self.access, self.now, self.failing.index, self.clock)
        self.on_unsubscribed: list[Callable[[Organization, str], None]] = []
        """Called when an organization ends its subscription to an extension: what that held is gone."""
        self.audit = Audit(seed, self.access, self.now)
        self.detections = Detections(seed, self.organizations, self.now_ms, self.hostile.index)
        self.events = Events(seed, self.now_ms, self.detections)
        self.fleet = sensors.Fleet()
        self.searches = Searches()
        self.payloads = Payloads()
        self.jobs = Jobs()
        self.cases = Cases(self)
        self.on_unsubscribed.append(lambda one, name: self.cases.unsubscribed(one) if name == CASES else None)
        self._began: float | None = None
        self._elapsed = 0
        """How far the clock had come when a snapshot was taken (ms)."""
        self._entries: dict[int, list[Value]] = {}
        self._confirmations: dict[int, str] = {}
        self._listings: dict[tuple[str, str, str, bool], list[Organization]] = {}
        self._listed_at = -1
        self._failing_since: dict[tuple[int, str], int] = {}
        self._dismissed: dict[int, set[str]] = {}
        self._schemas_since: dict[int, int] = {}
        self._slugs = {organization.slug for organization in self.organizations}
        self.made_from_template: Callable[[Call, Organization, str], None] | None = None
        """Applies a YAML document to an organization that was made with one."""
        self._online: dict[int, int] = {}

    def begin(
        self, *, live_rate: float = 0, storm_after: float | None = None, storm: int | None = None
    ) -> None:
        """Let time pass from now on.

        Args:
            live_rate: new detections a minute over all organizations.
            storm_after: seconds until the storm; with a live rate or a size and None, the seed decides (90 to
                150).
            storm: how many detections the storm is, over 60 organizations that can be read; None leaves that
                to the seed.
        """
        if storm_after is None and (live_rate > 0 or storm is not None):
            storm_after = 90 + int(hex_of(self.seed, "storm", length=6), 16) % 60
        self._began = time.monotonic()
        if live_rate > 0 or storm_after is not None:
            unreadable = () if self.unauthorized is None else (self.unauthorized.index,)
            self.detections.go_live(live_rate, storm_after, storm, unreadable)
        if live_rate > 0:
            self.events.go_live(self.clock)

    def clock(self) -> int:
        """The world's time: milliseconds, UTC. It stands still until `begin`."""
        if self._began is None:
            return self.now_ms + self._elapsed
        return self.now_ms + self._elapsed + int((time.monotonic() - self._began) * 1000)

    def kept(self) -> snapshot.World:
        """What a snapshot keeps of it, all of one moment."""
        moment = self.clock()
        self.detections.advance(moment)
        places = snapshot.Places(self.seed, self.organizations)
        failing: dict[int, dict[str, int]] = {}
        for (index, component), since in sorted(self._failing_since.items()):
            failing.setdefault(index, {})[component] = since
        return snapshot.World(
            clock=moment,
            made=[
                snapshot.Made(
                    oid=one.oid, name=one.born, site=one.site, created=one.created, creator=one.creator
                )
                for one in self.organizations
                if one.blank
            ],
            told={
                one.oid: snapshot.Told(
                    name=one.name, description=one.description, limit=one.limit, version=one.version
                )
                for one in self.organizations
                if customers.is_told(one)
            },
            deleted=[one.oid for one in self.organizations if one.oid not in self.by_oid],
            confirmations=places.named(self._confirmations),
            audit=places.named(self._entries),
            failing_since=places.named(failing),
            dismissed=places.named({index: sorted(gone) for index, gone in self._dismissed.items()}),
            schemas_since=places.named(self._schemas_since),
            access=self.access.kept(places),
            configuration=self.configuration.kept(places),
            fleet=self.fleet.kept(places, moment),
            answers=self.events.kept(places),
            detections=self.detections.kept(places),
            cases=self.cases.kept(places, moment),
            searches=self.searches.kept(),
            payloads=self.payloads.kept(places),
            tickets=self.payloads.kept_tickets(moment),
            jobs=self.jobs.kept(places),
        )

    def resume(self, kept: snapshot.World) -> None:
        """Become what a snapshot kept, over nothing but the seed; before `begin`.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        if kept.clock < self.now_ms:
            raise snapshot.BadSnapshot("world.clock is before origin.now_ms")
        self._elapsed = kept.clock - self.now_ms
        for each in kept.made:
            self._made_again(each)
        places = snapshot.Places(self.seed, self.organizations)
        for oid, told in kept.told.items():
            one = places.organization(oid, "told")
            one.name, one.description = told.name, told.description
            one.limit, one.version = told.limit, told.version
        self._confirmations = places.placed(kept.confirmations, "confirmations")
        self._entries = places.placed(kept.audit, "audit")
        for oid, entries in kept.audit.items():
            for entry in entries:
                if snapshot.shaped(snapshot.Entry, entry, "audit").oid != oid:
                    raise snapshot.BadSnapshot("audit: an entry is another organization's")
        for index, since in places.placed(kept.failing_since, "failing_since").items():
            self._failing_since |= {(index, component): at for component, at in since.items()}
        for index, gone in places.placed(kept.dismissed, "dismissed").items():
            self._dismissed[index] = set(gone)
        self._schemas_since = places.placed(kept.schemas_since, "schemas_since")
        self.access.resume(kept.access, places)
        self.configuration.resume(kept.configuration, places)
        self.fleet.resume(kept.fleet, places)
        self.events.resume(kept.answers, places)
        self.detections.resume(kept.detections, places, kept.clock)
        self.cases.resume(kept.cases, places)
        self.searches.resume(kept.searches, places, kept.clock // 1000)
        self.payloads.resume(kept.payloads, kept.tickets, places)
        self.jobs.resume(kept.jobs, places)
        for oid in kept.deleted:
            one = places.organization(oid, "deleted")
            if self.by_oid.pop(oid, None) is None:
                raise snapshot.BadSnapshot("deleted: an organization is named twice")
            self.detections.leave(one)

    def _made_again(self, kept: snapshot.Made) -> None:
        one = customers.blank(
            self.seed, len(self.organizations), kept.name, kept.site, kept.created, self._slugs
        )
        if one.oid != kept.oid:
            raise snapshot.BadSnapshot(
                f"made: {kept.oid[:64]} is not what the seed calls the next organization"
            )
        one.creator = kept.creator
        self._slugs.add(one.slug)
        self.organizations.append(one)
        self.by_oid[one.oid] = one
        self.detections.join(one)

    def tree(self) -> list[dict[str, Any]]:
        """The hierarchy, flat: {id, parent, name, oid?, labels?, parameters?, marks?}, parents first."""
        marks: dict[int, list[str]] = {}
        for organization in self.by_oid.values():
            found = []
            if organization.tier == "gold" and organization.index % 5 == 0:
                found.append("protected")
            if organization.index % 54 == 7:
                found.append("canary")
            if organization.index % 71 == 20:
                found.append("frozen")
            if organization.index % 97 == 30:
                found.append("leaving")
            if found:
                marks[organization.index] = found
        said: dict[str, object] = {
            "staff_domains": [names.PROVIDER_DOMAIN],
            "people_left": [self.access.left],
        }
        return customers.tree(self.by_oid.values(), marks=marks, parameters=said)

    def create_organization(self, name: str, site: str, creator: str) -> Organization:
        """A new organization, empty, which only its creator may touch.

        Args:
            name: not taken by another; the caller sees to that.
            site: where it is to be; "" for the default.
            creator: e-mail.
        """
        organization = customers.blank(
            self.seed, len(self.organizations), name, site, self.clock() // 1000, self._slugs
        )
        self._slugs.add(organization.slug)
        self.organizations.append(organization)
        self.by_oid[organization.oid] = organization
        self.detections.join(organization)
        self.access.join(organization, creator)
        organization.creator = creator
        return organization

    def delete_organization(self, organization: Organization) -> None:
        """Take an organization out of everything that lists or finds organizations."""
        del self.by_oid[organization.oid]
        self.detections.leave(organization)
        self.access.leave(organization)
        self._confirmations.pop(organization.index, None)
        self._entries.pop(organization.index, None)

    def confirmation(self, organization: Organization) -> str:
        """What a deletion has to be confirmed with, from now on."""
        self._confirmations[organization.index] = self.fresh_etag()
        return self._confirmations[organization.index]

    def confirmed(self, organization: Organization, token: str) -> bool:
        """Whether this is the newest confirmation that was asked for."""
        return bool(token) and self._confirmations.get(organization.index) == token

    def rename(self, organization: Organization, name: str) -> None:
        """Call an organization something else."""
        organization.name = name
        self.access.version += 1

    def name_is_free(self, name: str) -> bool:
        """Whether no organization is called so."""
        return all(organization.name != name for organization in self.by_oid.values())

    def seen_by(self, email: str, needle: str, by: str, descending: bool) -> list[Organization]:
        """The organizations a user sees, sorted; kept until something changes, for it is read in pages.

        Args:
            needle: part of the name or oid, in any case; "" for all.
            by: name, oid, sensor_quota or site_name.
        """
        if self._listed_at != self.access.version or len(self._listings) > 64:
            self._listings.clear()
            self._listed_at = self.access.version
        key = (email, needle, by, descending)
        found = self._listings.get(key)
        if found is None:
            sorts: dict[str, Callable[[Organization], Any]] = {
                "name": lambda one: one.name.casefold(),
                "oid": lambda one: one.oid,
                "sensor_quota": lambda one: self.quota(one)["quota"],
                "site_name": lambda one: one.site,
            }
            found = [
                one
                for one in self.access.organizations_of(email)
                if needle in one.name.casefold() or needle in one.oid
            ]
            found.sort(key=sorts[by], reverse=descending)
            self._listings[key] = found
        return found

    def quota(self, organization: Organization) -> Value:
        """Weighted sensors against the quota."""
        return activity.quota(
            organization,
            over=organization is self.over_quota,
            removed=self.fleet.removed(organization),
        )

    def set_quota(self, organization: Organization, sensors: int) -> None:
        """Allow so many sensors."""
        organization.limit = sensors
        self.access.version += 1

    def errors(self, organization: Organization) -> list[Value]:
        """The standing errors that nobody dismissed, of what is still there."""
        found = activity.errors(self.seed, organization, self.now, failing=organization is self.failing)
        found += self._unreachable(organization)
        gone = self._dismissed.get(organization.index, ())
        return [
            error
            for error in found
            if error["component"] not in gone and self._is_there(organization, error["component"])
        ]

    def _unreachable(self, organization: Organization) -> list[Value]:
        """The errors of outputs to a host below `.invalid`, which no resolver knows (RFC 2606)."""
        found = []
        for name, output in self.configuration.outputs(organization).items():
            host = str(output.get("dest_host", "")).partition(":")[0]
            if host.endswith(".invalid"):
                component = f"outputs/{name}"
                since = self._failing_since.setdefault((organization.index, component), self.clock() // 1000)
                found.append(
                    {
                        "component": component,
                        "error": f"cannot connect to {output['dest_host']}: no such host",
                        "ts": since,
                        "oid": organization.oid,
                    }
                )
        return found

    def _is_there(self, organization: Organization, component: str) -> bool:
        kind, _, name = component.partition("/")
        if kind == "outputs":
            return name in self.configuration.outputs(organization)
        return name in self.configuration.records(organization, kind)

    def dismiss(self, organization: Organization, component: str) -> None:
        """Take a standing error away for good."""
        self._dismissed.setdefault(organization.index, set()).add(component)

    def reset_schemas(self, organization: Organization) -> None:
        """Forget which events were seen so far."""
        self._schemas_since[organization.index] = self.clock()

    def schemas_since(self, organization: Organization) -> int | None:
        """When what was seen began to count (ms); None for always."""
        return self._schemas_since.get(organization.index)

    def sensor(self, organization: Organization, index: int) -> sensors.Sensor:
        """A sensor by its number."""
        hostile = index == 0 and organization is self.hostile
        return sensors.sensor(self.seed, organization, index, hostile, self.now)

    def sensors_of(self, organization: Organization) -> Iterator[sensors.Sensor]:
        """The sensors that an organization has: without the deleted ones."""
        removed = self.fleet.removed(organization)
        for number in range(organization.sensors):
            if number not in removed:
                yield self.sensor(organization, number)

    def online(self, organization: Organization) -> int:
        """How many sensors of an organization are online."""
        count = self._online.get(organization.index)
        if count is None:
            numbers = range(organization.sensors)
            count = sum(not self.sensor(organization, number).silent for number in numbers)
            self._online[organization.index] = count
        gone = self.fleet.removed(organization)
        return count - sum(not self.sensor(organization, number).silent for number in gone)

    def sensor_by_sid(self, sid: str) -> tuple[Organization, sensors.Sensor] | None:
        """A sensor that is there, and its organization."""
        found = numbers_of(self.seed, "sid", sid)
        if found is None or found[0] >= len(self.organizations):
            return None
        organization = self.organizations[found[0]]
        if organization.oid not in self.by_oid or found[1] >= organization.sensors:
            return None
        changes = self.fleet.of(organization, found[1])
        if changes is not None and changes.removed:
            return None
        return organization, self.sensor(organization, found[1])

    def tags(self, organization: Organization, sensor: sensors.Sensor) -> sensors.Tags:
        """The tags of a sensor: tag -> (who set it, when in seconds). Not to be changed by the caller."""
        changed = self.fleet.tags(organization, sensor.index, self.clock())
        if changed is not None:
            return changed
        return {tag: (self.access.administrators[0], sensor.enrolled) for tag in sensor.tags}

    def set_tags(self, organization: Organization, sensor: sensors.Sensor, tags: sensors.Tags) -> None:
        """Replace the tags of a sensor."""
        self.fleet.to(organization, sensor.index).tags = tags

    def sensor_record(self, organization: Organization, sensor: sensors.Sensor) -> Value:
        """A sensor as the API shows it."""
        shown = sensors.record(sensor, organization, self.now, tuple(self.tags(organization, sensor)))
        return shown | self.fleet.over(organization, sensor.index)

    def records(self, organization: Organization, hive: str) -> dict[str, Value]:
        """The records of a hive: key -> {data, usr_mtd, sys_mtd}. Not to be changed by the caller."""
        return self.configuration.records(organization, hive)

    def all_records(self, organization: Organization) -> dict[str, dict[str, Value]]:
        """Every hive of an organization that holds something."""
        return self.configuration.all_records(organization)

    def put_record(self, organization: Organization, hive: str, key: str, record: Value | None) -> None:
        """Write a record, or remove it with None."""
        self.configuration.put_record(organization, hive, key, record)

    def fresh_etag(self) -> str:
        """One that was never used before."""
        return self.configuration.fresh_etag()

    def note(self, organization: Organization, etype: str, ident: str, message: str, **more: Any) -> None:
        """Append to the organization's audit log."""
        moment = self.clock()
        entry = {
            "oid": organization.oid,
            "ts": sensors.stamp(moment // 1000),
            "time": moment,
            "etype": etype,
            "msg": message,
            "ident": ident,
            "entity": more.get("entity", {}),
            "mtd": more.get("mtd", {}),
            "origin": "api",
        }
        self._entries.setdefault(organization.index, []).append(entry)

    def noted(self, organization: Organization) -> list[Value]:
        """What was appended to the audit log, oldest first."""
        return self._entries.get(organization.index, [])
