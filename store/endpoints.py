"""Which address a credential may be sent to."""

from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class EndpointError(ValueError):
    """The address is not one that a credential may go to; the text says why."""


def is_loopback(host: str) -> bool:
    """Whether a host's name can only mean this machine."""
    return host in _LOOPBACK or (host.startswith("127.") and host.replace(".", "").isdigit())


def check_endpoint(url: str) -> str:
    """One base URL in place of LimaCharlie's hosts, without the slash at its end.

    Plain http is for this machine alone: a key must not cross a network in the clear.

    Raises:
        EndpointError: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EndpointError(f"endpoint must be a URL such as https://host:port, not {url[:200]!a}.") from None
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:
        raise EndpointError("endpoint must not hold a user or a password.")
    if parts.query or parts.fragment or not host or port == 0 or url != url.strip():
        raise EndpointError(f"endpoint must be a URL such as https://host:port, not {url[:200]!a}.")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return url.rstrip("/")
    if parts.scheme == "http":
        raise EndpointError(f"endpoint {url[:200]!a} is plain http, which is for loopback only; use https.")
    raise EndpointError(f"endpoint must begin with https://, not {url[:200]!a}.")
