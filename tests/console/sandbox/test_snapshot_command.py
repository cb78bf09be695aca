"""`limegrove sandbox snapshot` and `serve --from`: one file, whole or not at all, of a sandbox alone."""

import errno
import json
import os
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import urlencode

import pytest

from console.commands import sandbox as sandbox_command
from console.commands.problem import Problem
from tests.helpers.official import needs_official, official
from tests.helpers.sandboxes import environment, limegrove, sandbox_process

SMALL = ("--orgs", "7", "--detections", "200", "--now", "2026-11-20T12:00:00Z")


def _ask(stage: dict[str, Any], method: str, path: str, token: str = "", **form: str) -> Any:
    request = urllib.request.Request(
        stage["url"] + path,
        data=urlencode(form).encode() if form else None,
        method=method,
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _token(stage: dict[str, Any], oid: str) -> str:
    token: str = _ask(stage, "POST", "/", uid=stage["uid"], secret=stage["api_key"], oid=oid)["jwt"]
    return token


def _snapshot(home: Path, url: str, *arguments: str) -> "CompletedProcess[str]":
    return limegrove("sandbox", "snapshot", *arguments, env=environment(home, LIMEGROVE_ENDPOINT=url))


def _written(stage: dict[str, Any]) -> tuple[str, str]:
    """An organization in which something was written, and a token for it."""
    oid = stage["oids"][0]
    token = _token(stage, oid)
    record = {"data": json.dumps({"secret": "put here by hand"}), "usr_mtd": json.dumps({"enabled": True})}
    _ask(stage, "POST", f"/v1/hive/secret/{oid}/by-hand/data", token, **record)
    return oid, token


def _one_sentence(done: "CompletedProcess[str]", code: int, *words: str) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@needs_official
def test_a_sandbox_goes_on_in_another_process(tmp_path: Path) -> None:
    file = tmp_path / "shift.json"
    with sandbox_process(tmp_path / "first", *SMALL) as (before, _):
        oid, token = _written(before)
        done = _snapshot(tmp_path, before["url"], str(file))
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said == {"file": str(file), "bytes": file.stat().st_size, "organizations": 7, "seed": 7} | {
            "time": said["time"]
        }
        assert said["time"].startswith("2026-11-20T12:00:")
        assert "credentials" in done.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [each.name for each in tmp_path.glob("*json*")] == ["shift.json"]
        assert [each.name for each in tmp_path.glob(".*json*")] == []
        # The first one goes on, and what it does is not in the file.
        _ask(before, "POST", f"/v1/configs/{oid}/otx", token, value="later")
        record = _ask(before, "GET", f"/v1/hive/secret/{oid}/by-hand/data", token)
        listed = official(before, oid, "hive", "list", "--hive-name", "secret", "--output", "json")
    with sandbox_process(tmp_path / "second", "--from", str(file)) as (after, _):
        assert {**after, "url": ""} == {**before, "url": ""}
        # The token that the first one issued.
        assert _ask(after, "GET", f"/v1/hive/secret/{oid}/by-hand/data", token) == record
        assert _ask(after, "GET", f"/v1/configs/{oid}/otx", token)["value"] == ""
        assert official(after, oid, "hive", "list", "--hive-name", "secret", "--output", "json") == listed
        assert "by-hand" in listed


def test_one_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    file, link = tmp_path / "kept.json", tmp_path / "link.json"
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    with sandbox_process(tmp_path / "first", *SMALL) as (stage, _):
        for path in (file, link):
            _one_sentence(_snapshot(tmp_path, stage["url"], str(path)), 1, "already there", path.name)
        _one_sentence(_snapshot(tmp_path, stage["url"], str(tmp_path / "no" / "x")), 1, "cannot be written")
    assert file.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_the_endpoint_may_be_said_and_is_of_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with sandbox_process(tmp_path / "first", *SMALL) as (stage, _):
        with_option = _snapshot(tmp_path, "http://127.0.0.1:9", str(file), "--endpoint", stage["url"])
        assert with_option.returncode == 0, with_option.stderr
    other = tmp_path / "y.json"
    _one_sentence(_snapshot(tmp_path, "https://api.example.com", str(other)), 2, "this machine alone")
    _one_sentence(_snapshot(tmp_path, "", str(other)), 2, "LIMEGROVE_ENDPOINT", "--endpoint")
    _one_sentence(
        _snapshot(tmp_path, "", str(other), "--endpoint", "http://192.0.2.1:80"), 1, "plain http", "loopback"
    )
    _one_sentence(_snapshot(tmp_path, stage["url"], str(other)), 1, "No sandbox answers", "sandbox serve")
    _one_sentence(_snapshot(tmp_path, stage["url"], str(other), "--offline"), 5, "--offline")
    assert not other.exists()


@contextmanager
def _server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """Something that listens here and is no sandbox; its address, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _says(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _half(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"format": "limegrove sandbox snapshot", "version": 1,')


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_says(404, b'{"error": "not found"}'), ("is no sandbox",)),
        (_says(200, b"<html>\x1b]0;x\x07</html>"), ("is no sandbox",)),
        (_says(200, b"{}"), ("is no sandbox",)),
        (_says(401, b"\xff" * 100), ("is no sandbox",)),
        (_says(302, b"", Location="http://127.0.0.1:1/"), ("is no sandbox",)),
        (
            _says(409, b'{"error": "No snapshot can be taken: \\u001b[31m too large."}'),
            ("too large", "\\x1b[31m"),
        ),
        (
            _says(200, b'{"format": "limegrove sandbox snapshot", "version": 1}'),
            ("is no snapshot", "missing"),
        ),
        (
            _says(200, b'{"format": "limegrove sandbox snapshot", "version": 9}'),
            ("is no snapshot", "version 9"),
        ),
        (_half, ("is no snapshot", "not JSON")),
    ],
)
def test_what_is_no_sandbox_is_one_sentence(
    answer: Callable[[BaseHTTPRequestHandler], None], words: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "x.json"
    with _server(answer) as (url, asked):
        _one_sentence(_snapshot(tmp_path, url, str(file)), 1, *words)
        assert asked == ["/sandbox/snapshot"]
    assert list(tmp_path.glob("*x.json*")) == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The content of a snapshot."""
    home = tmp_path_factory.mktemp("kept")
    with sandbox_process(home / "first", *SMALL) as (stage, _):
        _written(stage)
        done = _snapshot(home, stage["url"], str(home / "file"))
        assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads((home / "file").read_text())
    return content


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, ("version 2", "use the limegrove that wrote it")),
        ({"a\x1b]0;owned\x07\nb": 1}, ("unknown field", "\\x1b]0;owned\\x07\\x0ab")),
        ({"format": "tar"}, ("does not say",)),
        ({"tokens": ""}, ("32 bytes",)),
    ],
)
def test_a_bad_file_is_refused_before_anybody_is_served(
    kept: dict[str, Any], change: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({**kept, **change}))
    done = limegrove("sandbox", "serve", "--from", str(file), env=environment(tmp_path))
    _one_sentence(done, 2, "bad.json", *words)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    pipe, directory = tmp_path / "pipe", tmp_path / "directory"
    os.mkfifo(pipe)
    directory.mkdir()
    for path in (pipe, directory, tmp_path / "nothing", Path("/dev/zero")):
        done = limegrove("sandbox", "serve", "--from", str(path), env=environment(tmp_path))
        _one_sentence(done, 2, "cannot be read", str(path))


@pytest.mark.parametrize("option", [("--orgs", "3"), ("--now", "2026-01-01T00:00:00Z"), ("--live-rate", "1")])
def test_of_what_it_is_made_only_the_snapshot_says(
    kept: dict[str, Any], option: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "file.json"
    file.write_text(json.dumps(kept))
    done = limegrove("sandbox", "serve", "--from", str(file), *option, env=environment(tmp_path))
    _one_sentence(done, 2, option[0], "--from")


def test_how_it_is_served_may_be_said_anew(kept: dict[str, Any], tmp_path: Path) -> None:
    file, faults = tmp_path / "file.json", tmp_path / "faults.json"
    file.write_text(json.dumps(kept))
    faults.write_text(json.dumps([{"fault": "status", "path": "/v1/plans", "count": None}]))
    # One of the two was used before the snapshot, and its minute goes on.
    options = ("--from", str(file), "--rate-quota", "2", "--faults", str(faults))
    with sandbox_process(tmp_path / "home", *options) as (stage, _):
        token = _token(stage, "-")
        assert _ask(stage, "GET", "/sandbox/faults")["faults"][0]["path"] == "/v1/plans"
        _ask(stage, "GET", "/v1/user/self/auth", token)
        with pytest.raises(urllib.error.HTTPError) as refused:
            _ask(stage, "GET", "/v1/user/self/auth", token)
        with refused.value:
            assert refused.value.code == 429


def test_an_organization_without_keys_does_not_keep_it_from_being_served(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    with sandbox_process(tmp_path / "first", *SMALL) as (stage, _):
        made = _ask(stage, "POST", "/v1/orgs/new", _token(stage, "-"), name="New here")["data"]["oid"]
        gone = stage["oids"][-1]
        token = _token(stage, gone)
        confirmation = _ask(stage, "GET", f"/v1/orgs/{gone}/delete", token)["confirmation"]
        _ask(stage, "DELETE", f"/v1/orgs/{gone}/delete", token, confirmation=confirmation)
        done = _snapshot(tmp_path, stage["url"], str(file))
        assert json.loads(done.stdout)["organizations"] == 7
    with sandbox_process(tmp_path / "second", "--from", str(file)) as (after, _):
        assert after["oids"] == [*stage["oids"][:-1], made]
        assert set(after["org_api_keys"]) == set(stage["oids"][:-1])
        names = _ask(after, "GET", "/v1/user/orgs?limit=50", _token(after, "-"))["orgs"]
        assert "New here" in {each["name"] for each in names}
        assert gone not in {each["oid"] for each in names}


def test_where_there_are_no_links_it_is_written_as_well_and_over_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    file = tmp_path / "kept.json"
    sandbox_command._write(file, b"{}")
    with pytest.raises(Problem, match="already there"):
        sandbox_command._write(file, b"[]")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"{}", 0o600)
    assert os.listdir(tmp_path) == ["kept.json"]
