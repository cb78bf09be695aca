"""Who runs the console."""

from functools import cache


@cache
def actor() -> str:
    """`user@host` of the operating system, for the journal."""
    import getpass
    import os
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
