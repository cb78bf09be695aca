"""A provider's repository in the vendor's layout, from import to what its customers have.

The repository is made here. Where `LIMEGROVE_CORPUS` names the directory above a checkout of the vendor's
demonstration (`mssp-demo/configs`), that one goes the same way.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from store.rollouts.compare import normalised, normalised_metadata
from store.secret import Secret
from store.templates.documents import Key, resolve
from tests.helpers.official import OFFICIAL, needs_official, official
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process

CORPUS = os.environ.get("LIMEGROVE_CORPUS")
CUSTOMERS = (1, 2, 3)
KIM = "kim@provider.example"

REPOSITORY = {
    "configs/global/all.yaml": """\
version: 3
include: [extensions.yaml, resources.yaml, keys.yaml, rules.yaml, outputs.yaml, integrity.yaml, artifact.yaml,
  exfil.yaml, fp.yaml]
""",
    "configs/global/extensions.yaml": """\
version: 3
extensions: [ext-infrastructure, ext-reliable-tasking, ext-artifact, ext-exfil, ext-integrity]
""",
    "configs/global/resources.yaml": "version: 3\nresources:\n  api: [vt]\n  service: [replay]\n",
    "configs/global/keys.yaml": """\
version: 3
installation_keys:
  laptops: {desc: laptops, tags: [windows, laptop]}
  servers: {desc: servers, tags: [linux], use_public_root_ca: true}
""",
    "configs/global/rules.yaml": """\
version: 3
hives:
  dr-general:
    shadow-copies:
      data:
        detect:
          event: NEW_PROCESS
          op: and
          rules:
            - {op: is windows}
            - {op: contains, path: event/COMMAND_LINE, value: 'delete shadows', case sensitive: false}
        respond:
          - {action: report, name: Shadow copies deleted, priority: 8}
          - {action: task, command: [history_dump]}
      usr_mtd: {enabled: true, expiry: 0, tags: [attack.t1490, provider]}
    asleep:
      data:
        detect: {event: DNS_REQUEST, op: ends with, path: event/DOMAIN_NAME, value: .example}
        respond: [{action: report, name: Example}]
      usr_mtd: {enabled: false}
""",
    "configs/global/outputs.yaml": """\
version: 3
outputs:
  archive:
    module: sftp
    for: detect
    dest_host: archive.provider.example
    dir: /in/
    username: drop
    password: not-a-real-one
    is_built_in: false
    sec_per_file: 300
""",
    "configs/global/integrity.yaml": """\
version: 3
integrity:
  keys: {patterns: [/root/.ssh/authorized_keys], platforms: [linux], tags: []}
""",
    "configs/global/artifact.yaml": """\
version: 3
artifact:
  logs: {is_delete_after: false, is_ignore_cert: false, patterns: [/var/log/auth.log.1], platforms: [linux],
    tags: [], days_retention: 14}
""",
    "configs/global/exfil.yaml": """\
version: 3
exfil:
  list:
    default-linux: {events: [NEW_PROCESS, DNS_REQUEST, CONNECTED], platforms: [linux], tags: []}
  perf: {}
  watch: {}
""",
    "configs/global/fp.yaml": """\
version: 3
hives:
  fp:
    scanner: {data: {op: is, path: routing/hostname, value: scanner-01}, usr_mtd: {enabled: true, tags: []}}
""",
    "configs/customers/cus_1/custom_rules.yaml": "version: 3",
    "configs/customers/cus_1/main.yaml": "version: 3\ninclude:\n  - ../../global/all.yaml\n  - custom_rules.yaml\n",
    "configs/customers/cus_2/custom_rules.yaml": """\
version: 3
hives:
  dr-general:
    only-here:
      data:
        detect: {event: NEW_PROCESS, op: contains, path: event/COMMAND_LINE, value: '${not a parameter}'}
        respond: [{action: report, name: Only here}]
      usr_mtd: {enabled: true}
""",
    "configs/customers/cus_2/custom_exfil.yaml": """\
version: 3
exfil:
  watch:
    evil: {event: NEW_PROCESS, operator: contains, value: evil, path: [COMMAND_LINE]}
""",
    "configs/customers/cus_2/custom_res.yaml": "version: 3\nresources:\n  service: [yara]\n",
    "configs/customers/cus_2/main.yaml": """\
version: 3
include: [../../global/all.yaml, custom_rules.yaml, custom_res.yaml, custom_exfil.yaml]
""",
    "configs/customers/cus_3/custom_rules.yaml": "version: 3",
    "configs/customers/cus_3/main.yaml": "version: 3\ninclude:\n  - ../../global/all.yaml\n  - custom_rules.yaml\n",
}  # fmt: skip

# The allowed-signers file has to be somebody else's, and not every account that runs tests may give files away.
OTHER_USER = """
import os, sys, types
from console.operations import approvals
approvals.os = types.SimpleNamespace(getuid=lambda: os.getuid() + 4242)
from console.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Provider:
    """A provider whose repository was brought out to three customers of a sandbox."""

    stage: dict[str, Any]
    env: dict[str, str]
    home: Path
    oids: list[str]
    repository: Path
    before: dict[str, dict[Key, Any]]
    """What the cloud gave each of them when it was made."""
    imported: list[dict[str, Any]]
    plan: dict[str, Any]
    applied: dict[str, Any]

    def done(self, *arguments: str, code: int = 0) -> Any:
        """What a command says as JSON."""
        return said(limegrove(*arguments, "--output", "json", env=self.env), code)


def said(answer: "subprocess.CompletedProcess[str]", code: int) -> Any:
    assert answer.returncode == code, answer.stdout + answer.stderr
    return json.loads(answer.stdout) if answer.stdout.strip() else None


def as_other(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", OTHER_USER, *arguments, "--output", "json"],
        cwd=ROOT, env=env, text=True, capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


async def customers(stage: dict[str, Any]) -> list[str]:
    async with Cloud(UserKey(stage["uid"], Secret(stage["api_key"])), Endpoint.single(stage["url"])) as cloud:
        oids = [await cloud.create_organization(f"Customer {number}", "europe") for number in CUSTOMERS]
        for oid in oids:
            # Without it the official client can neither pull nor push.
            await cloud.organization(oid).subscribe_extension("ext-infrastructure")
        return oids


def pulled(stage: dict[str, Any], oid: str, file: Path) -> dict[Key, Any]:
    """What the official client says that an organization has."""
    official(stage, oid, "sync", "pull", "--config-file", str(file), "--all")
    return form(file.read_bytes())


def form(document: bytes) -> dict[Key, Any]:
    """The records of a document, in the one form in which two documents are compared."""
    template = resolve("main.yaml", lambda _: document)
    assert not template.broken, template.findings
    return {
        (section, name): (
            normalised(section, name, record.body),
            normalised_metadata(record.metadata) if section.startswith("hive/") else None,
        )
        for (section, name), record in template.records.items()
    }


def repositories() -> list[str]:
    return ["made here", *(["vendor's"] if CORPUS and (Path(CORPUS) / "mssp-demo").is_dir() else [])]


@pytest.fixture(scope="module", params=repositories())
def provider(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("provider")
    repository = home / "repository"
    if request.param == "made here":
        for name, text in REPOSITORY.items():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            (repository / name).write_text(text)
    else:
        shutil.copytree(Path(str(CORPUS)) / "mssp-demo", repository)
    for name in ("dana", "kim"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    signers = home / "etc" / "allowed_signers"
    signers.parent.mkdir(mode=0o755)
    signers.write_text(f"{KIM} {(home / 'kim.pub').read_text()}")
    signers.chmod(0o644)
    with sandbox_process(home / "sandbox", "--orgs", "1", "--detections", "0") as (stage, _):
        env = as_user(home, stage, LIMEGROVE_ALLOWED_SIGNERS=str(signers))
        oids = asyncio.run(customers(stage))
        files = {oid: home / f"{oid}-before.yaml" for oid in oids if OFFICIAL.exists()}
        before = {oid: pulled(stage, oid, file) for oid, file in files.items()}
        made = Provider(stage, env, home, oids, repository, before, [], {}, {})
        made.done("sync", "--only", "orgs,config")
        lines = ["- {id: root, parent: null, name: All}"]
        lines += [
            f"- {{id: c{n}, parent: root, name: Customer {n}, oid: {oid}}}" for n, oid in enumerate(oids, 1)
        ]
        (home / "tree.yaml").write_text("\n".join(lines) + "\n")
        made.done("tree", "import", str(home / "tree.yaml"))
        answer = made.done("template", "import", str(repository), "--root", str(repository))
        assert answer["refused"] == []
        made.imported = answer["imported"]
        for number in CUSTOMERS:
            made.done("template", "assign", f"configs/customers/cus_{number}", f"c{number}")
        made.plan = made.done("rollout", "plan", code=4)
        plan = str(made.plan["plan"])
        assert as_other("rollout", "apply", plan, "--yes", env=env).returncode == 5
        said(as_other("rollout", "approve", plan, "--identity", KIM, "--key", str(home / "kim"), env=env), 0)
        made.applied = said(as_other("rollout", "apply", plan, "--yes", env=env), 0)
        yield made


def test_the_repository_is_imported_as_it_is_a_template_for_each_customer(provider):
    assert [each["name"] for each in provider.imported] == [f"configs/customers/cus_{n}" for n in CUSTOMERS]
    assert all("configs/global/all.yaml" in each["files"] for each in provider.imported)
    assert not [one for each in provider.imported for one in each["findings"] if one["severity"] == "error"]


def test_customers_who_are_to_change_alike_are_one_line_of_the_plan(provider):
    folds = [(sorted(each["oids"]), len(each["changes"])) for each in provider.plan["folds"]]
    one, two, three = provider.oids
    assert {tuple(oids) for oids, _ in folds} == {tuple(sorted((one, three))), (two,)}
    assert provider.plan["blocked"] == []
    assert provider.plan["risks"] == ["It changes output: where data goes, or who may do what."]


def test_all_of_the_plan_is_applied_and_nothing_is_left_to_do(provider):
    assert provider.applied == {
        "plan": provider.plan["plan"], "state": "done", "applied": 3, "failed": [], "halted": None,
    }  # fmt: skip
    provider.done("sync", "--only", "orgs,config")
    again = provider.done("rollout", "plan", "--check")
    assert (again["folds"], again["blocked"]) == ([], [])


@needs_official
@pytest.mark.parametrize("number", CUSTOMERS)
def test_what_the_official_client_pulls_is_what_limegrove_showed(provider, number):
    oid = provider.oids[number - 1]
    shown = provider.done("template", "render", "--org", oid)
    wanted = form(json.dumps(shown["document"]).encode())
    have = pulled(provider.stage, oid, provider.home / f"{oid}.yaml")
    assert len(wanted) > 10
    # An organization is born with some of its own, which no template mentioned.
    born = {key: value for key, value in provider.before[oid].items() if key not in wanted}
    for key, (body, _) in wanted.items():
        if key[0] == "resource":
            assert set(body) <= set(have[key][0])
            assert set(have[key][0]) - set(body) <= set(provider.before[oid].get(key, ((),))[0])
            have[key] = wanted[key]
    for extension, (section, part) in SEEN_TWICE.items():
        held = have.pop(("hive/extension_config", extension), None)
        if held is not None:
            assert names_of(held[0], part) == {name for kind, name in wanted if kind == section}
    assert have == wanted | born


SEEN_TWICE = {
    "ext-artifact": ("artifact", "log_rules"),
    "ext-exfil": ("exfil", "exfil_rules"),
    "ext-integrity": ("integrity", "fim_rules"),
}
"""Extension -> the section of the rules that its configuration holds once more."""


def names_of(body: Any, part: str) -> set[str]:
    rules = body[part]
    if part != "exfil_rules":
        return set(rules)
    return {f"{kind}/{name}" for kind, held in rules.items() for name in held or {}}


@needs_official
def test_the_official_client_finds_nothing_to_do_in_what_is_exported(provider, tmp_path):
    found = provider.done("template", "export", str(tmp_path / "out"))
    assert sorted(found["written"]) == sorted(f"orgs/{oid}/index.yaml" for oid in provider.oids)
    for oid in provider.oids:
        file = tmp_path / "out" / "orgs" / oid / "index.yaml"
        printed = official(
            provider.stage, oid, "sync", "push", "--config-file", str(file), "--all", "--dry-run"
        )
        operations = json.loads(printed[printed.index("[") :])
        assert len(operations) > 10
        assert [each for each in operations if each["op"] != "="] == []
        shown = provider.done("template", "render", "--org", oid)["document"]
        assert form(file.read_bytes()) == form(json.dumps(shown).encode())


def test_terraform_s_locals_hold_what_was_rendered_and_are_json(provider, tmp_path):
    found = provider.done("template", "terraform", str(tmp_path / "out"))
    assert sorted(found["written"]) == sorted(f"{oid}.tf.json" for oid in provider.oids)
    for oid in provider.oids:
        held = json.loads((tmp_path / "out" / f"{oid}.tf.json").read_text())
        ((name, document),) = held["locals"].items()
        assert name == f"limacharlie_{oid.replace('-', '_')}"
        shown = provider.done("template", "render", "--org", oid)["document"]
        # Terraform reads `$${` as the text `${`, and `%%{` as `%{`.
        assert json.loads(json.dumps(document).replace("$${", "${").replace("%%{", "%{")) == shown


def test_what_was_exported_is_imported_again_in_git_sync_s_layout_and_changes_nothing(provider, tmp_path):
    """The last test: it takes the layers of the customers away, and puts those of the export in their place."""
    out = tmp_path / "out"
    provider.done("template", "export", str(out))
    for number in CUSTOMERS:
        provider.done("template", "unassign", f"configs/customers/cus_{number}", f"c{number}")
    again = provider.done("template", "import", str(out), "--root", str(out), "--assign")
    assert again["refused"] == []
    assert {each["node"] for each in again["assigned"]} == {f"c{number}" for number in CUSTOMERS}
    provider.done("sync", "--only", "orgs,config")
    planned = provider.done("rollout", "plan", "--check")
    assert (planned["folds"], planned["blocked"]) == ([], [])
