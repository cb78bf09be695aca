"""What a template's records get wrong is said once, with the line and the remedy; what is right is not."""

import pytest

from store.templates.documents import read_template
from store.templates.lint import lint

FINE = """\
version: 3
extensions: [ext-cases]
resources: {api: [vt]}
outputs:
  siem: {module: syslog, for: detect, dest_host: 'log.example:6514', is_tls: 'true'}
  pages: {module: slack, for: tailored, slack_api_token: hive://secret/slack, slack_channel: '#soc'}
installation_keys: {linux: {desc: linux, tags: [linux]}}
integrity: {keys: {patterns: [/root/.ssh/authorized_keys], platforms: [linux], tags: []}}
artifact: {logs: {patterns: [/var/log/auth.log], platforms: [linux], days_retention: 30}}
exfil:
  list:
    default-chrome: {events: [CONNECTED]}
    default-linux: {events: [NEW_PROCESS]}
    default-macos: {events: [NEW_PROCESS]}
    default-windows: {events: [NEW_PROCESS]}
  watch: {w: {event: MODULE_LOAD, operator: ends with, value: x.dll, path: [FILE_PATH]}}
hives:
  secret: {}
  dr-general:
    rule:
      data:
        detect: {op: is, event: NEW_PROCESS, path: event/FILE_PATH, value: x}
        respond:
        - {action: report, name: rule}
        - {action: output, name: pages}
        - {action: extension request, extension name: ext-cases}
      usr_mtd: {enabled: true, expiry: 0, tags: [a], comment: why}
  fp:
    quiet: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true, expiry: 1795176000000}}
  lookup:
    bad: {data: {lookup_data: {'1.2.3.4': {}}}, usr_mtd: {enabled: true}}
  playbook:
    p: {data: {python: 'def playbook(sdk, data): return {}'}, usr_mtd: {enabled: true}}
  query:
    q: {data: {query: '-1h | * | *', stream: event}, usr_mtd: {enabled: true}}
  external_adapter:
    a:
      data:
        sensor_type: syslog
        syslog:
          client_options:
            identity: {oid: o, installation_key: k}
            platform: text
            sensor_seed_key: s
            hostname: h
      usr_mtd: {enabled: true}
"""


def found(tmp_path, text: str) -> list[tuple[str, str]]:
    (tmp_path / "main.yaml").write_text(text)
    return [(each.severity, str(each)) for each in lint(read_template(tmp_path, "main.yaml"))]


def test_a_template_without_mistakes_has_one_finding_that_its_secret_has_to_be_there(tmp_path):
    assert found(tmp_path, FINE) == [
        (
            "warning",
            "main.yaml:6: output/pages refers to secret/slack, which the template does not bring. "
            "The organization has to have it already.",
        )
    ]


HIVE = "version: 3\nhives:\n  {}:\n    x: {{data: {}, usr_mtd: {{enabled: true}}}}\n"
OUTPUT = "version: 3\noutputs:\n  x: {}\n"


@pytest.mark.parametrize(
    ("text", "severity", "part"),
    [
        ("version: 3\nhives: {fp: {x: {data: {op: is, path: cat, value: x}}}}\n", "warning", "stored disabled"),
        ("version: 3\nhives: {fp: {x: {data: {op: is, path: cat, value: x}, usr_mtd: {tags: []}}}}\n", "warning", "takes that for no"),
        ("version: 3\nhives: {fp: {x: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: 'yes'}}}}\n", "error", "true or false"),
        ("version: 3\nhives: {fp: {x: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true, expiry: 1795176000}}}}\n", "error", "In milliseconds it is 1795176000000."),
        ("version: 3\nhives: {fp: {x: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true, tags: a}}}}\n", "error", "`tags` of fp/x have to be a list"),
        (HIVE.format("dr-general", "{detect: {op: exists, path: a}}"), "error", "not both `detect` and `respond`"),
        (HIVE.format("dr-general", "{detect: {op: nope, path: a}, respond: []}"), "error", "nope"),
        (HIVE.format("dr-general", "{detect: {op: exists, path: a, event: A}, respond: {}}"), "error", "list of actions"),
        (HIVE.format("dr-general", "{detect: {op: exists, path: a, event: A}, respond: [{action: report}]}"), "error", "has no `name`"),
        (HIVE.format("dr-general", "{detect: {op: exists, path: a, event: A}, respond: [], enabled: true}"), "warning", "`enabled` within `data`"),
        (HIVE.format("dr-general", "{detect: {op: exists, path: a, event: A}, respond: [{action: output, name: gone}]}"), "warning", "the output 'gone', which is not here"),
        (HIVE.format("dr-general", "{detect: {op: exists, path: a, event: A}, respond: [{action: extension request, extension name: ext-x}]}"), "warning", "asks ext-x"),
        (HIVE.format("fp", "{detect: {op: is, path: cat, value: x}}"), "error", "wraps its condition in `detect`"),
        (HIVE.format("lookup", "{}"), "error", "exactly one of"),
        (HIVE.format("lookup", "{lookup_data: {8.8.8.8: bad}}"), "error", "has no object for its value"),
        (HIVE.format("secret", "{secret: hunter2}"), "warning", "in clear"),
        (HIVE.format("secret", "{value: a}"), "error", "has to be `secret:` with a text"),
        (HIVE.format("playbook", "{python: 'def ('}"), "error", "is no Python"),
        (HIVE.format("external_adapter", "{sensor_type: syslog, s3: {}}"), "error", "it never starts"),
        (HIVE.format("extension_config", "{}").replace("x:", "ext-x:"), "warning", "does not subscribe"),
        (HIVE.format("fp", "{op: is, path: cat, value: '<<YOUR NAME>>'}"), "warning", "placeholder '<<YOUR NAME>>'"),
        (OUTPUT.format("{module: splunk, for: detect}"), "error", "no module that there is: 'splunk'"),
        (OUTPUT.format("{module: s3, for: detect, bucket: b, key_id: k}"), "error", "lacks `secret_key`"),
        (OUTPUT.format("{module: tines, for: detection, dest_host: h}"), "error", "`detect` is meant"),
        (OUTPUT.format("{module: syslog, for: detect, dest_host: h, is_tls: true}"), "warning", "Write 'true' in quotes."),
        (OUTPUT.format("{module: syslog, for: detect, dest_host: h, cat_white_list: [a]}"), "error", "a name on each line"),
        (OUTPUT.format("{module: smtp, for: detect, dest_host: h, dest_email: a, from_email: b, password: p}"), "warning", "a secret in clear"),
        ("version: 3\nintegrity: {x: {patterns: /etc}}\n", "error", "`patterns` of integrity/x"),
        ("version: 3\nartifact: {x: {patterns: [/a], retention: 3}}\n", "warning", "`days_retention` is how long"),
        ("version: 3\nartifact: {x: {patterns: [/a], days_retention: '3'}}\n", "error", "number of days"),
        ("version: 3\nexfil: {watch: {x: {event: A, operator: matches, value: b, path: [C]}}}\n", "warning", "dropped silently"),
        ("version: 3\nexfil: {watch: {x: {event: A, operator: is, value: b, path: C}}}\n", "error", "has to be a list"),
        ("version: 3\nexfil: {list: {x: {events: [A]}}}\n", "warning", "lack default-chrome"),
        ("version: 3\norg-value: {vt: 12}\n", "error", "Write it in quotes."),
        ("version: 3\ninstallation_keys: {a: {desc: b, tags: []}}\n", "warning", "the description is what it goes by"),
        ("version: 3\nyara: {source: {}}\n", "warning", "yara has sources, rules"),
    ],
)  # fmt: skip
def test_a_mistake_is_said(tmp_path, text, severity, part):
    said = found(tmp_path, text)
    assert any(each == severity and part in words for each, words in said), said


def test_a_rule_whose_own_tests_do_not_hold_is_an_error(tmp_path):
    text = HIVE.format(
        "dr-general",
        "{detect: {op: is, event: NEW_PROCESS, path: event/A, value: b}, respond: [], "
        "tests: {match: [[{routing: {event_type: NEW_PROCESS}, event: {A: c}}]]}}",
    )
    assert any(
        severity == "error" and "unit tests of dr-general/x do not hold" in words
        for severity, words in found(tmp_path, text)
    )
