"""A secret made here is found nowhere afterwards: every byte of the workspace, of /proc, of the crash file.

The secrets are the sandbox's own, read from it: what is looked for is what was really handed out.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.sandbox.chance import hex_of, uuid_of
from store.secret import Secret
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process
from tests.helpers.tmux import MISSING, Tmux

RANGE = "203.0.113.0/28"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A sandbox in a process of its own, away from the workspace that is searched."""
    home = tmp_path_factory.mktemp("canary")
    elsewhere = tmp_path_factory.mktemp("sandbox")
    with sandbox_process(elsewhere, "--seed", "4", "--orgs", "4", "--detections", "20") as (line, _):
        env = as_user(home, line)
        limegrove("sync", "--only", "orgs,access", env=env)
        listed = limegrove("org", "list", "--output", "jsonl", env=env).stdout.splitlines()
        oids = [UUID.findall(row)[0] for row in listed if '"failed"' not in row]
        yield {**line, "home": home, "env": env, "oid": oids[0], "oids": oids}


def disguises(secret: str) -> dict[str, bytes]:
    """A secret as it is, and as something on the way may have written it."""
    raw = secret.encode()
    return {
        "as it is": raw,
        "without hyphens": raw.replace(b"-", b""),
        "reversed": raw[::-1],
        "UTF-16": secret.encode("utf-16-le"),
        "hexadecimal": raw.hex().encode(),
        "its bytes": bytes.fromhex(secret.replace("-", "")),
        **{f"base64, {at}": base64.b64encode(b"\0" * at + raw)[4 if at else 0 : -4] for at in range(3)},
        "percent-encoded": urllib.parse.quote(secret.replace("-", "%2D"), safe="%").encode(),
    }


def holding(data: bytes, secret: str) -> list[str]:
    """In which disguises a secret is in some bytes, and in what they unpack to."""
    found = [name for name, look in disguises(secret).items() if look in data]
    for at in (found_at.start() for found_at in re.finditer(rb"\x28\xb5\x2f\xfd", data)):
        try:
            inner = zstandard.ZstdDecompressor().decompress(data[at:], max_output_size=1 << 22)
        except zstandard.ZstdError:
            continue
        found += [f"zstd: {name}" for name, look in disguises(secret).items() if look in inner]
    for at in (found_at.start() for found_at in re.finditer(rb"\x1f\x8b\x08", data)):
        try:
            inner = zlib.decompressobj(31).decompress(data[at:], 1 << 22)
        except zlib.error:
            continue
        found += [f"gzip: {name}" for name, look in disguises(secret).items() if look in inner]
    return found


def in_files(where: Path, secret: str) -> list[str]:
    """The files below a directory that hold a secret, in their names or their bytes."""
    found = []
    for path in where.rglob("*"):
        if holding(str(path).encode(), secret):
            found.append(f"{path}: its name")
        if path.is_file() and not path.is_symlink():
            found += [f"{path}: {how}" for how in holding(path.read_bytes(), secret)]
    return found


def in_processes(secret: str) -> list[str]:
    """The processes that show a secret to whoever may look: in their command line, environment or name."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        for name in ("cmdline", "environ", "comm"):
            try:
                data = (process / name).read_bytes()
            except OSError:
                continue
            found += [f"{process.name}/{name}: {how}" for how in holding(data, secret)]
    return found


def anywhere(stage: dict[str, Any], secret: str) -> list[str]:
    return in_files(stage["home"], secret) + in_processes(secret)


def secret_in_hive(stage: dict[str, Any], oid: str, key: str) -> str:
    async def read() -> str:
        credentials = UserKey(stage["uid"], Secret(stage["api_key"]))
        async with Cloud(credentials, Endpoint.single(stage["url"])) as cloud:
            record = await cloud.organization(oid).hive_record("secret", key)
        assert isinstance(record.body, dict)
        return str(record.body["secret"])

    return asyncio.run(read())


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    secret = "97de1f2d-8616-4ed5-b5ce-2fb755785719"
    for number, (name, look) in enumerate(disguises(secret).items()):
        (tmp_path / f"{number}").write_bytes(b"before" + look + b"after")
        assert any(name in each for each in in_files(tmp_path, secret)), name
        (tmp_path / f"{number}").unlink()
    (tmp_path / "packed").write_bytes(b"x" + zstandard.compress(b"--" + secret.encode() * 3))
    assert any("zstd" in each for each in in_files(tmp_path, secret))
    quiet = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", secret],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert quiet.stdout is not None
        quiet.stdout.readline()  # its command line is its own only once it runs
        assert any("cmdline" in each for each in in_processes(secret))
    finally:
        quiet.communicate(timeout=20)


@pytest.mark.parametrize("verb", ["create", "rotate"])
def test_what_went_into_the_hive_is_in_no_file_and_no_process(stage: dict[str, Any], verb: str) -> None:
    """With the log on, for everything that is written down is written then, and after a sync of the hives."""
    name, oid = f"hive-{verb}", stage["oid"]
    env = stage["env"]
    words = ["--org", oid, "--recipe", "reader", "--range", RANGE, "--to-hive", name, "--debug"]
    done = limegrove("key", "create", name, *words, env=env)
    assert done.returncode == 0, done.stderr
    secrets = [secret_in_hive(stage, oid, name)]
    if verb == "rotate":
        done = limegrove("key", "rotate", name, "--org", oid, "--to-hive", name, "--debug", env=env)
        assert done.returncode == 0, done.stderr
        secrets.append(secret_in_hive(stage, oid, name))
        assert len(set(secrets)) == 2
    synced = limegrove("sync", "--debug", env=env)
    assert synced.returncode in (0, 3), synced.stderr
    assert (stage["home"] / "limegrove" / "log" / "limegrove.log").stat().st_size > 0
    for secret in secrets:
        assert anywhere(stage, secret) == []
        assert not holding((done.stdout + done.stderr).encode(), secret)


def test_what_was_printed_because_it_was_asked_for_is_there_and_nowhere_else(stage: dict[str, Any]) -> None:
    words = ["--org", stage["oid"], "--recipe", "reader", "--range", RANGE, "--show-secret", "--debug"]
    done = limegrove("key", "create", "printed", *words, env=stage["env"])
    assert done.returncode == 0, done.stderr
    (secret,) = {each for each in UUID.findall(done.stdout) if each not in stage["oids"]}
    assert not holding(done.stderr.encode(), secret)
    assert anywhere(stage, secret) == []


CRASHING = """
import sys
from console.operations import keys
{how}
from console.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
CRASHES = {
    "reading it back": (
        "def crash(handle, made, *, store):\n"
        "    held = made.secret.reveal()\n"
        "    raise RuntimeError(f'the key {{made!r}} of {{held}}: secret={{held}}')\n"
        "keys._read_back = crash"
    ),
    "putting it away": (
        "async def crash(handle, made, slot, *, store, operator):\n"
        "    held = {{'secret': made.secret.reveal()}}\n"
        "    raise KeyError(held['secret'])\n"
        "keys._put_away = crash"
    ),
    "noting the result": (
        "async def crash(store, operator, made, step, detail):\n"
        "    try:\n"
        "        raise ValueError(made.secret.reveal())\n"
        "    except ValueError as error:\n"
        "        raise OSError('while noting') from error\n"
        "keys._noted = crash"
    ),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_with_the_secret_alive_tells_what_happened_and_not_what_it_was(
    stage: dict[str, Any], where: str
) -> None:
    name = where.replace(" ", "-")
    program = CRASHING.format(how=CRASHES[where].replace("{{", "{").replace("}}", "}"))
    words = ["key", "create", name, "--org", stage["oid"], "--recipe", "reader", "--range", RANGE]
    before = set((stage["home"] / "limegrove").glob("crashes/*"))
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--to-hive", name, "--debug"],
        cwd=ROOT, env=stage["env"], text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, "crash" in done.stderr) == (1, True), done.stderr
    (report,) = set((stage["home"] / "limegrove").glob("crashes/*")) - before
    assert "keys.py" in report.read_text()
    # What nobody was given is a key that the inventory names. Its secret: that of the sandbox's own books.
    limegrove("sync", "--only", "orgs,access", env=stage["env"])
    listed = limegrove(
        "key", "list", "--filter", f"held:no name:{name}", "--output", "jsonl", env=stage["env"]
    )
    (row,) = map(json.loads, listed.stdout.splitlines())
    secret = _of_sandbox(row["key_hash"])
    assert "[hidden]" in report.read_text() or where == "reading it back"
    assert anywhere(stage, secret) == []
    assert not holding((done.stdout + done.stderr).encode(), secret)


def test_a_program_that_wrote_it_down_would_be_caught(stage: dict[str, Any]) -> None:
    """The search over a real workspace sees a secret in the journal, so that finding none means something."""
    program = CRASHING.format(
        how="noted = keys._noted\n"
        "async def loose(store, operator, made, step, detail):\n"
        "    told = detail | {'had': made.secret.reveal()} if made.secret else detail\n"
        "    return await noted(store, operator, made, step, told)\n"
        "keys._noted = loose"
    )
    words = ["key", "create", "loose", "--org", stage["oid"], "--recipe", "reader", "--range", RANGE]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--to-hive", "loose"],
        cwd=ROOT, env=stage["env"], text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert any("store.db" in each for each in anywhere(stage, secret_in_hive(stage, stage["oid"], "loose")))


def _of_sandbox(key_hash: str) -> str:
    """The secret of a key that the sandbox made: both come from its seed, and from which one it is."""
    for number in range(1, 200):
        if hex_of(4, "made key hash", number, length=64) == key_hash:
            return uuid_of(4, "made key", number)
    raise AssertionError("the sandbox makes its keys in another way")


def _pid_of(program: Path) -> int:
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and (process / "cmdline").exists():
            words = (process / "cmdline").read_bytes().split(b"\0")
            if len(words) > 1 and words[1] == str(program).encode():
                return int(process.name)
    raise AssertionError("the console is not there")


@pytest.mark.skipif(MISSING, reason="tmux is not installed")
@pytest.mark.parametrize("end", ["y", "crash", "kill"])
def test_a_secret_on_the_screen_is_gone_with_it_whichever_way_it_ends(
    stage: dict[str, Any], tmp_path: Path, end: str
) -> None:
    program = tmp_path / "opened.py"
    program.write_text(
        "import sys\n"
        "from screens.dialogs.show_secret import ShowSecret\n"
        "def crash(self):\n"
        "    raise RuntimeError('with the secret on the screen')\n"
        "taken = ShowSecret.action_taken\n"
        "ShowSecret.action_taken = crash if 'crash' in sys.argv else taken\n"
        "from console.__main__ import main\n"
        "sys.exit(main(['--debug']))\n"
    )
    env = {
        name: value
        for name, value in stage["env"].items()
        if name
        in ("PATH", "HOME", "LIMEGROVE_HOME", "PYTHONPATH", "LC_UID", "LC_API_KEY", "LIMEGROVE_ENDPOINT")
    }
    env |= {"LANG": "C.UTF-8"}
    with Tmux([sys.executable, str(program), end], env) as tmux:
        tmux.wait("fresh")
        tmux.press(":")
        tmux.type("keys")
        tmux.press("Enter")
        tmux.wait("organizations read")
        tmux.press("n")
        tmux.wait("A new API key")
        tmux.type(f"screen-{end}")
        tmux.press("Tab")
        tmux.type("reader")
        tmux.press("Tab", "Tab")
        tmux.type(RANGE)
        tmux.press("Enter")
        tmux.wait("shown this once")
        (secret,) = set(UUID.findall(tmux.screen()))
        assert in_processes(secret) == [], "while it is on the screen"
        if end == "kill":
            os.kill(_pid_of(program), 9)
        else:
            tmux.press("y")
        if end == "y":
            tmux.wait("has the key")
        else:
            tmux.wait("ENDED-")
        # Who is killed cleans up nothing, and the terminal shows what it showed.
        assert end == "kill" or secret not in tmux.screen()
        if end == "crash":
            assert "ENDED-1" in tmux.screen()
            reports = sorted((stage["home"] / "limegrove" / "crashes").glob("*"), key=os.path.getmtime)
            assert "with the secret on the screen" in reports[-1].read_text()
    assert anywhere(stage, secret) == []
