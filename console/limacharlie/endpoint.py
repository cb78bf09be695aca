"""Where LimaCharlie is: the only hosts that a token may be sent to."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from console.limacharlie.errors import Invalid
from store.endpoints import EndpointError, check_endpoint, is_loopback

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+limacharlie\.io")


@dataclass(frozen=True)
class Endpoint:
    """The set of hosts that belong together. Make one with `limacharlie()` or `single()`."""

    api: str
    """Base URL of the REST API, without `/v1` and without a slash at its end."""
    jwt: str
    """Where a key is exchanged for a token."""
    cases: str

    @classmethod
    def limacharlie(cls) -> "Endpoint":
        """LimaCharlie's own hosts (the roots in the official clients, `client.py` and `client.go`)."""
        return cls("https://api.limacharlie.io", "https://jwt.limacharlie.io", "https://cases.limacharlie.io")

    @classmethod
    def single(cls, url: str) -> "Endpoint":
        """One base URL in place of all hosts: a sandbox, or a gateway of the provider's own.

        Plain http is for this machine alone.

        Raises:
            Invalid: it is not such a URL.
        """
        try:
            checked = check_endpoint(url)
        except EndpointError as error:
            raise Invalid(f"The {error}" if str(error).startswith("endpoint") else str(error)) from None
        return cls(checked, checked, checked)

    @property
    def loopback(self) -> bool:
        """Whether every host is this machine."""
        return all(is_loopback(urlsplit(url).hostname or "") for url in (self.api, self.jwt, self.cases))

    def allows(self, url: str) -> bool:
        """Whether a token of this endpoint may be sent to a URL.

        The URL must have the scheme, host and port of one of the endpoint's own roots; with
        LimaCharlie's own hosts any https host below limacharlie.io will do, since regions have
        hosts of their own (`GET orgs/{oid}/url`).
        """
        origin = _origin(url)
        if origin is None:
            return False
        if origin in {_origin(own) for own in (self.api, self.jwt, self.cases)}:
            return True
        scheme, host, port = origin
        official = _origin(self.api) == _origin(Endpoint.limacharlie().api)
        return official and scheme == "https" and port == 443 and _HOST.fullmatch(host) is not None


@lru_cache(maxsize=256)
def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)
