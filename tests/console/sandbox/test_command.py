"""`limegrove sandbox serve`: one line, loopback only, and a clean end."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from console.sandbox.world import World
from tests.helpers.sandboxes import ROOT, environment, sandbox_process


def _serve(home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "console", "sandbox", "serve", *options],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_one_line_says_what_a_caller_needs(tmp_path: Path) -> None:
    world = World(seed=9, orgs=7, detections=50)
    with sandbox_process(tmp_path, "--seed", "9", "--orgs", "7", "--detections", "50") as (stage, process):
        assert set(stage) == {"url", "uid", "api_key", "oids", "org_api_keys", "users"}
        root = world.access.users[world.access.root]
        assert (stage["uid"], stage["api_key"]) == (root.uid, root.api_key)
        assert stage["oids"] == [one.oid for one in world.organizations]
        assert set(stage["org_api_keys"]) == set(stage["oids"])
        assert stage["users"][world.access.root] == {"uid": root.uid, "api_key": root.api_key}
        assert {*world.access.staff, world.access.left, world.access.leaked} <= set(stage["users"])
        with urllib.request.urlopen(f"{stage['url']}/v1/orgs/{stage['oids'][0]}/url", timeout=10) as answer:
            assert json.load(answer)["url"]["cases"] == stage["url"]
        with urllib.request.urlopen(f"{stage['url']}/sandbox/log", timeout=10) as answer:
            assert json.load(answer)["endpoints"] == {"GET /v1/orgs/{oid}/url": 1}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_an_interrupt_is_a_clean_end_too(tmp_path: Path) -> None:
    with sandbox_process(tmp_path, "--orgs", "1", "--detections", "0") as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_it_ends_with_its_standard_input_when_told_so(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "console", "sandbox", "serve", "--orgs", "1", "--while-stdin"],
            stdin=reading,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(tmp_path),
        )
    finally:
        os.close(reading)
    assert process.stdout is not None
    with process.stdout:
        try:
            assert json.loads(process.stdout.readline())["url"].startswith("http://127.0.0.1:")
            os.close(writing)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait(10)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--host", "0.0.0.0"), "loopback"),
        (("--host", "example.com"), "loopback"),
        (("--orgs", "0"), "--orgs"),
        (("--storm", "0"), "--storm takes a number of detections"),
        (("--storm-after", "-1"), "--storm-after takes seconds"),
        (("--detections", "-1"), "--detections"),
        (("--now", "yesterday"), "RFC 3339"),
        (("--now", "2026-01-01T00:00:00"), "RFC 3339"),
        (("--rate-quota", "0"), "--rate-quota"),
        (("--port", "70000"), "--port"),
        (("--while-stdin",), "--while-stdin"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_a_usage_error(
    options: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    done = _serve(tmp_path, *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with sandbox_process(tmp_path, "--orgs", "1", "--detections", "0") as (stage, _):
        port = stage["url"].rpartition(":")[2]
        done = _serve(tmp_path, "--port", port)
        assert done.returncode == 1
        assert f"port {port}" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
