"""Runs LimaCharlie's own client, one JSON line in and one out; started with the Python that has it.

    driver.py http://127.0.0.1:PORT

A command of its command line runs in this process as its entry point runs it, with its own standard
streams and exit code. An expression of its SDK is evaluated with the SDK's classes at hand. Starting the
client costs a second; here that is paid once. Every address of LimaCharlie leads to the one given, also
where the client writes `https://` itself, and a connection to anywhere else is refused.
"""

import contextlib
import dataclasses
import functools
import importlib
import io
import json
import os
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from types import GeneratorType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HOME = urlsplit(sys.argv[1])
SUBJECTS = [
    "api_keys",
    "arl",
    "artifacts",
    "billing",
    "cases",
    "configs",
    "dr_rules",
    "exfil",
    "extensions",
    "fp_rules",
    "groups",
    "hive",
    "ingestion_keys",
    "insight",
    "installation_keys",
    "integrity",
    "jobs",
    "logging_rules",
    "organization",
    "outputs",
    "payloads",
    "replay",
    "search",
    "sensor",
    "spout",
    "users",
    "usp",
    "yara",
]
"""The modules of the SDK whose classes an expression finds."""
slept: list[float] = []
"""Seconds that the client wanted to wait since the request began; it did not have to."""


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """No credential leaves: Python asks this before every connection and every look-up of a name."""
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and address[:2] != (HOME.hostname, HOME.port):
            raise PermissionError(f"a connection to {address} is not to the sandbox")
    elif event == "socket.getaddrinfo" and arguments[0] != HOME.hostname:
        raise PermissionError(f"{arguments[0]} is not the sandbox")


def _led_here(address: str) -> str:
    """The same path and query at the sandbox, for LimaCharlie's hosts and for it with another scheme."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.netloc == HOME.netloc or host == "limacharlie.io" or host.endswith(".limacharlie.io"):
        return urlunsplit((HOME.scheme, HOME.netloc, parts.path or "/", parts.query, ""))
    return address


def _redirect() -> None:
    really = urllib.request.urlopen

    def urlopen(request: Any, data: Any = None, timeout: Any = None, **more: Any) -> Any:
        if isinstance(request, urllib.request.Request):
            request.full_url = _led_here(request.full_url)
        else:
            request = _led_here(request)
        more.pop("context", None)  # plain http has no use for it
        return really(request, data, *([] if timeout is None else [timeout]), **more)

    urllib.request.urlopen = urlopen
    import requests

    sends = requests.Session.request

    def send(self: Any, method: str, url: str, *arguments: Any, **more: Any) -> Any:
        return sends(self, method, _led_here(url), *arguments, **more)

    requests.Session.request = send
    # A context loads every authority of the system; one is enough for all clients of this process.
    ssl.create_default_context = functools.cache(ssl.create_default_context)


def _rest() -> None:
    """Waiting is noted and not done, except in the client's own threads."""
    really = time.sleep
    main = threading.main_thread()

    def sleep(seconds: float) -> None:
        if threading.current_thread() is main:
            slept.append(seconds)
        else:
            really(seconds)

    time.sleep = sleep


def plain(value: Any) -> Any:
    """Of what the SDK answers, what JSON can say."""
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, GeneratorType, Iterator)):
        return [plain(each) for each in value]
    if dataclasses.is_dataclass(value):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return plain({name: each for name, each in vars(value).items() if not name.startswith("_")})


def command(arguments: list[str], stdin: str) -> dict[str, Any]:
    """One command line: {"rc", "out", "err"}."""
    from limacharlie.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.argv, sys.stdin
    sys.argv = ["limacharlie", *arguments]
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = ended.code
    finally:
        sys.argv, sys.stdin = before
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return {
        "rc": code if isinstance(code, int) else 0 if code is None else 1,
        "out": texts[0],
        "err": texts[1],
    }


def expression(text: str, names: dict[str, Any]) -> dict[str, Any]:
    """One expression of the SDK: {"value"} or {"error", "message", "status"}."""
    from limacharlie.client import Client
    from limacharlie.errors import LimaCharlieError

    client = Client(**names.pop("client", {}))
    modules = [importlib.import_module(f"limacharlie.sdk.{name}") for name in SUBJECTS]
    space = {name: value for module in modules for name, value in vars(module).items() if name[0].isupper()}
    org = space["Organization"](client)
    try:
        # The expressions are those of the probes beside this file.
        return {"value": plain(eval(text, {**space, "client": client, "org": org, **names}))}
    except LimaCharlieError as error:
        return {
            "error": type(error).__name__,
            "message": str(error),
            "status": getattr(error, "status_code", None),
            "retry_after": getattr(error, "retry_after", None),
        }
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error), "status": None}


def main() -> None:
    """Serve until standard input ends."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the client prints past its own streams must not become an answer
    sys.addaudithook(_stay_here)
    _redirect()
    _rest()
    kept = dict(os.environ)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        slept.clear()
        os.environ.clear()
        os.environ.update(kept | asked.get("env", {}))
        if "arguments" in asked:
            said = command(asked["arguments"], asked.get("stdin", ""))
        else:
            said = expression(asked["expression"], asked.get("names", {}))
        lines.write(json.dumps(said | {"slept": list(slept)}) + "\n")
        lines.flush()


if __name__ == "__main__":
    main()
