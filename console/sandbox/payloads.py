"""Payloads, and jobs: files that sensors are handed, and work that takes a while."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from console.sandbox import snapshot
from console.sandbox.chance import uuid_of
from console.sandbox.organizations import Organization

VALID_MS = 15 * 60_000
"""How long the address of an upload or a download can be used."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A file."""

    name: str
    content: bytes
    by: str
    created: int
    """Seconds, UTC."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an address allows whoever has it."""

    organization: Organization
    name: str
    by: str
    upload: bool
    ends: int
    """Milliseconds, UTC."""


class Payloads:
    """The payloads of all organizations."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, Payload]] = {}
        self._tickets: dict[str, Ticket] = {}

    def kept(self, places: snapshot.Places) -> dict[str, list[snapshot.Payload]]:
        """What a snapshot keeps of them."""
        return places.named(
            {
                index: [
                    snapshot.Payload(name=one.name, content=one.content, by=one.by, created=one.created)
                    for one in found.values()
                ]
                for index, found in self._kept.items()
            }
        )

    def kept_tickets(self, now: int) -> list[snapshot.Ticket]:
        """What a snapshot keeps of the addresses that can be used at a time (ms)."""
        return [
            snapshot.Ticket(
                key=key,
                oid=one.organization.oid,
                name=one.name,
                by=one.by,
                upload=one.upload,
                ends=one.ends,
            )
            for key, one in self._tickets.items()
            if one.ends > now
        ]

    def resume(
        self,
        kept: dict[str, list[snapshot.Payload]],
        tickets: list[snapshot.Ticket],
        places: snapshot.Places,
    ) -> None:
        """Become what a snapshot kept.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for oid, found in kept.items():
            organization = places.organization(oid, "payloads")
            for one in found:
                self.put(organization, Payload(one.name, one.content, one.by, one.created))
        for each in tickets:
            organization = places.organization(each.oid, "tickets")
            self._tickets[each.key] = Ticket(organization, each.name, each.by, each.upload, each.ends)

    def of(self, organization: Organization) -> dict[str, Payload]:
        """By name. Not to be changed by the caller."""
        return self._kept.get(organization.index, {})

    def put(self, organization: Organization, payload: Payload) -> None:
        """Keep one; another of the same name goes."""
        self._kept.setdefault(organization.index, {})[payload.name] = payload

    def remove(self, organization: Organization, name: str) -> bool:
        """Forget one; whether it was there."""
        return self._kept.get(organization.index, {}).pop(name, None) is not None

    def ticket(self, organization: Organization, name: str, by: str, now: int, *, upload: bool) -> str:
        """The secret part of an address; the time is in milliseconds, UTC."""
        self._tickets = {key: one for key, one in self._tickets.items() if one.ends > now}
        key = secrets.token_urlsafe(24)
        self._tickets[key] = Ticket(organization, name, by, upload, now + VALID_MS)
        return key

    def allowed(self, key: str, now: int, *, upload: bool) -> Ticket | None:
        """What an address allows, None when it is not valid (any more)."""
        found = self._tickets.get(key)
        return found if found is not None and found.upload == upload and found.ends > now else None


@dataclass(slots=True)
class Jobs:
    """Work that services did, by organization and id, newest last."""

    _kept: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def kept(self, places: snapshot.Places) -> dict[str, dict[str, dict[str, Any]]]:
        """What a snapshot keeps of them."""
        return places.named(self._kept)

    def resume(self, kept: dict[str, dict[str, dict[str, Any]]], places: snapshot.Places) -> None:
        """Become what a snapshot kept.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        self._kept = places.placed(kept, "jobs")
        for jobs in kept.values():
            for job_id, job in jobs.items():
                if snapshot.shaped(snapshot.Job, job, "jobs").job_id != job_id:
                    raise snapshot.BadSnapshot("jobs: a job stands below another's id")

    def of(self, organization: Organization) -> dict[str, dict[str, Any]]:
        """By id. Not to be changed by the caller."""
        return self._kept.get(organization.index, {})

    def add(self, organization: Organization, cause: str, ident: str, now: int, *, sid: str = "") -> str:
        """Keep a job that is done already, for here nothing takes long.

        Args:
            cause: what asked for it, `yara scan`.
            now: milliseconds, UTC.

        Returns:
            Its id.
        """
        jobs = self._kept.setdefault(organization.index, {})
        job_id = uuid_of("job", organization.oid, len(jobs), now)
        jobs[job_id] = {
            "job_id": job_id,
            "oid": organization.oid,
            "cause": cause,
            "ident": ident,
            "sid": sid,
            "ts": now // 1000,
            "last_update": now // 1000,
            "is_done": True,
            "hist": [{"ts": now // 1000, "msg": f"{cause} done", "is_important": True}],
        }
        return job_id

    def remove(self, organization: Organization, job_id: str) -> bool:
        """Forget one; whether it was there."""
        return self._kept.get(organization.index, {}).pop(job_id, None) is not None
