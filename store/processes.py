"""Which process does something, and whether it is still there: what a row of the store names as holder."""

import os
import secrets
import socket
from pathlib import Path

from store.text import safe_text

_ME = secrets.token_hex(4)


def holder() -> str:
    """This process: host, number, when it began, and a number of its own."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}:{_ME}"


def alive(who: str) -> bool | None:
    """Whether a process that `holder` named is there; None for one of another machine."""
    host, _, rest = who.rpartition(":")[0].rpartition(":")[0].rpartition(":")
    if not host or host != socket.gethostname():
        return None
    started = who.split(":")[-2]
    try:
        pid = int(rest)
        os.kill(pid, 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return started == _started(pid)


def said(who: str) -> str:
    """A process that `holder` named, in words: `process 4711`, of another machine `process 4711 on soc-2`."""
    host, _, pid = who.rpartition(":")[0].rpartition(":")[0].rpartition(":")
    if not host or not pid.isdecimal():
        return "another process"
    where = "" if host == socket.gethostname() else f" on {safe_text(host, 30)}"
    return f"process {pid}{where}"


def _started(pid: int) -> str:
    """When a process of this machine began, in ticks: a number used again is another process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
