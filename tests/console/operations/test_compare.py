"""What the official client pushed is, once read, the same record as the document wanted."""

from sqlalchemy import select

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.sync import Sync
from store.bodies import unpack
from store.database import Store
from store.models import ConfigurationBody, ConfigurationRecord
from store.rollouts.compare import (
    has_secret,
    normalised_metadata,
    observed_hash,
    observed_name,
    wanted_hash,
)
from store.secret import Secret
from store.templates.documents import resolve
from store.yaml import load
from tests.helpers.official import needs_official, official
from tests.helpers.sandboxes import sandbox_process

KEY = b"k" * 32

DOCUMENT = """\
version: 3
extensions: [ext-reliable-tasking]
resources: {api: [vt, ip-geo]}
org-value: {otx: AAAA-BBBB}
outputs:
  siem:
    module: syslog
    for: detect
    dest_host: log.example:6514
    is_tls: 'true'
    is_strict_tls: ''
    password: hunter2
  bulk: {module: s3, type: event, bucket: b, key_id: k, secret_key: s, sec_per_file: '300'}
integrity:
  flat: {patterns: [/root/.ssh/authorized_keys], platforms: [linux], tags: []}
  nested: {patterns: ['/etc/*'], filters: {platforms: [linux], tags: [server]}}
artifact:
  logs: {patterns: [/var/log/auth.log], platforms: [linux], tags: [], days_retention: 30, is_delete_after: false}
exfil:
  list:
    chosen: {events: [NEW_PROCESS], platforms: [windows], tags: []}
  watch:
    dll: {event: MODULE_LOAD, operator: ends with, value: x.dll, path: [FILE_PATH], filters: {platforms: [windows]}}
installation_keys:
  servers: {desc: servers, tags: [b, a], use_public_root_ca: false}
hives:
  dr-general:
    rule:
      data:
        detect: {op: is, event: NEW_PROCESS, path: event/FILE_PATH, value: x}
        respond: [{action: report, name: rule}]
      usr_mtd: {enabled: true, tags: [z, a]}
  fp:
    quiet: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true, expiry: 0, tags: [], comment: why}}
  secret:
    one: {data: {secret: hunter2}, usr_mtd: {enabled: true}}
  lookup:
    bad: {data: {lookup_data: {'1.2.3.4': {risk: 1}}}, usr_mtd: {enabled: false}}
"""


@needs_official
async def test_what_the_official_client_pushed_is_read_back_as_what_the_document_wanted(tmp_path):
    (tmp_path / "main.yaml").write_text(DOCUMENT)
    with sandbox_process(tmp_path / "sandbox", "--orgs", "2", "--detections", "0") as (stage, _):
        endpoint = Endpoint.single(stage["url"])
        store = Store(f"sqlite:///{tmp_path / 'store.db'}")
        async with Cloud(UserKey(stage["uid"], Secret(stage["api_key"])), endpoint) as cloud:
            oid = next(iter(sorted([each.oid async for page in cloud.organizations() for each in page])))
            official(stage, oid, "sync", "push", "--config-file", str(tmp_path / "main.yaml"), "--all")
            await Sync(store=store, cloud=cloud, redaction_key=KEY, only=("config",), oids=[oid]).run()
    with store.reader.reading() as connection:
        rows = connection.execute(
            select(
                ConfigurationRecord.section, ConfigurationRecord.name, ConfigurationRecord.metadata_,
                ConfigurationBody.body,
            )
            .join(ConfigurationBody, ConfigurationBody.hash == ConfigurationRecord.hash)
            .where(ConfigurationRecord.oid == oid, ConfigurationRecord.valid_to.is_(None))
        ).all()  # fmt: skip
    read = [(row.section, row.name, load(unpack(row.body)).value) for row in rows]
    bodies = {(section, observed_name(section, name, body)): body for section, name, body in read}
    metadata = {(row.section, row.name): row.metadata for row in rows}
    store.close()
    wanted = resolve("main.yaml", lambda _: DOCUMENT.encode()).records
    assert len(wanted) == 15
    for key, record in wanted.items():
        section, name = key
        assert key in bodies, key
        if section == "resource":
            assert set(record.body) <= set(bodies[key])
            continue
        if section == "hive/secret":
            # The store never learns a secret: only that there is one.
            continue
        assert wanted_hash(section, name, record.body, KEY) == observed_hash(section, name, bodies[key]), (
            key, record.body, bodies[key],
        )  # fmt: skip
        if record.metadata is not None:
            assert normalised_metadata(record.metadata) == normalised_metadata(metadata[key])
    assert has_secret(bodies["output", "siem"])
    changed = wanted["output", "siem"].body | {"password": "hunter3"}
    assert wanted_hash("output", "siem", changed, KEY) != observed_hash(
        "output", "siem", bodies["output", "siem"]
    )
