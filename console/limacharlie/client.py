"""LimaCharlie as limegrove asks it: one `Cloud` per credential, one handle per organization."""

from types import TracebackType
from typing import Self

from console.limacharlie.access import Access, CloudGroups
from console.limacharlie.answers import (
    DetectionPage,
    HiveRecord,
    OrganizationRow,
    Page,
    Quota,
    Who,
)
from console.limacharlie.billing import Billing
from console.limacharlie.cases import CaseFigures, CaseFile, CasePage, Cases, CasesRefused, CloudCases
from console.limacharlie.clock import Clock
from console.limacharlie.configuration import Configuration
from console.limacharlie.credentials import Credentials, OrganizationKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.extensions import Extensions
from console.limacharlie.handle import Done
from console.limacharlie.hive import ABSENT, Hive, HiveMetadata, HiveWritten
from console.limacharlie.insight import Insight
from console.limacharlie.limits import Limits
from console.limacharlie.organizations import CloudOrganizations
from console.limacharlie.search import Search
from console.limacharlie.sensors import Sensors
from console.limacharlie.tokens import IDENTITY
from console.limacharlie.transport import Deadlines, Stats, Transport, organization_id

__all__ = [
    "ABSENT",
    "CaseFigures",
    "CaseFile",
    "CasePage",
    "CasesRefused",
    "Cloud",
    "Deadlines",
    "DetectionPage",
    "Done",
    "HiveMetadata",
    "HiveRecord",
    "HiveWritten",
    "OrganizationHandle",
    "OrganizationRow",
    "Page",
    "Quota",
    "Who",
]


class Cloud(CloudOrganizations, CloudGroups, CloudCases):
    """LimaCharlie for one credential. Use it as `async with Cloud(...) as cloud`.

    All methods raise `LimaCharlieError` of one of its kinds and nothing else, and answer only what
    was checked to have the documented shape.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: Endpoint,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        concurrency: int = 16,
        deadlines: Deadlines | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        read_only: bool = False,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            credentials: a user's or an organization's key.
            endpoint: the only hosts that will be spoken to.
            proxy: URL of an HTTP proxy; the environment's is ignored. Not used for the loopback.
            ca_file: PEM file of further certificate authorities.
            concurrency: requests under way at once.
            deadlines: 5 s to connect, 20 s of silence, 60 s for all by default.
            limits: the credential's rate budget, such as one that is shared by all processes
                (`Limits.shared`); this client's own when None. Whoever made it closes it.
            clock: by which pauses, deadlines and the life of tokens go; the machine's when None.
            read_only: whoever would change something with it is to refuse.

        Raises:
            Invalid: the proxy, the file, or the oid of an organization's key is unusable, or a
                budget without limits was given for another host than this machine.
        """
        if isinstance(credentials, OrganizationKey):
            organization_id(credentials.oid)
        self.credentials = credentials
        self.read_only = read_only
        self._scope = IDENTITY
        self._transport = Transport(
            credentials,
            endpoint,
            proxy=proxy,
            ca_file=ca_file,
            concurrency=concurrency,
            deadlines=deadlines,
            limits=limits,
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.close()

    @property
    def stats(self) -> Stats:
        """How much was asked, by endpoint."""
        return self._transport.stats

    @property
    def limits(self) -> Limits:
        """The rate of this credential; `limits.describe()` says it in words."""
        return self._transport.limits

    def cloud_time(self) -> float | None:
        """The cloud's own clock, seconds since 1970, as its last answers told; None before any did."""
        return self._transport.cloud_time()

    def organization(self, oid: str) -> "OrganizationHandle":
        """The only way to one organization: a handle that holds its oid and uses its token.

        Raises:
            Invalid: the oid is none.
        """
        return OrganizationHandle(self._transport, organization_id(oid))


class OrganizationHandle(Search, Billing, Access, Hive, Configuration, Extensions, Sensors, Insight, Cases):
    """One organization: every request carries its oid and a token for it alone."""
