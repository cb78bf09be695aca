"""From the settings in force to LimaCharlie: whose key, to which hosts, through which proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from console import credentials
from console.settings import Settings
from store.credentials import Credential

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from console.limacharlie.credentials import Credentials
    from console.limacharlie.endpoint import Endpoint
    from console.limacharlie.limits import Limits

RUN = "run"
"""The directory in the workspace that holds what only running processes need."""


@asynccontextmanager
async def connect(settings: Settings) -> "AsyncIterator[Cloud]":
    """LimaCharlie, as the environment's credential sees it.

    Raises:
        CredentialError: there is no credential, or it cannot be read or sent to this endpoint.
        LimaCharlieError: the proxy or the file of certificates cannot be used.
    """
    # In a thread: the keyring may take a second to answer, and opening a passphrase file takes 300 ms.
    credential = await asyncio.to_thread(credentials.credential, settings)
    async with connect_with(credential, settings) as cloud:
        yield cloud


@asynccontextmanager
async def connect_with(credential: Credential, settings: Settings) -> "AsyncIterator[Cloud]":
    """LimaCharlie, as one credential sees it: only the hosts that the credential is for are spoken to.

    Raises:
        LimaCharlieError: the proxy or the file of certificates cannot be used.
    """
    from console.limacharlie.client import Cloud
    from console.limacharlie.credentials import OrganizationKey, UserKey
    from console.limacharlie.endpoint import Endpoint

    key = (
        UserKey(credential.uid, credential.secret)
        if credential.kind == "user"
        else OrganizationKey(credential.oid, credential.secret)
    )
    endpoint = Endpoint.single(credential.endpoint) if credential.endpoint else Endpoint.limacharlie()
    ca_file = str(settings.ca_file) if settings.ca_file else None
    limits = shared_limits(settings, key, endpoint)
    try:
        async with Cloud(
            key,
            endpoint,
            proxy=settings.proxy,
            ca_file=ca_file,
            limits=limits,
            read_only=settings.read_only,
        ) as cloud:
            yield cloud
    finally:
        limits.close()


def shared_limits(settings: Settings, key: "Credentials", endpoint: "Endpoint") -> "Limits":
    """The rate budget that every console and command of this workspace shares for a credential.

    Where the workspace cannot be used, this process's own, which says why.
    """
    from console.limacharlie.limits import Limits
    from console.process import WorkspaceError, private_directory

    try:
        directory = private_directory(private_directory(settings.home) / RUN)
    except WorkspaceError as error:
        return Limits(alone=str(error))
    return Limits.shared(directory, key, endpoint.api)


def redaction_key(settings: Settings) -> bytes:
    """The 32 bytes under which secrets are replaced before they reach the environment's store.

    Raises:
        CredentialError: there is no credential, or it cannot be read.
    """
    return credentials.redaction_key(settings)
