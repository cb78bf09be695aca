"""What of an organization stands behind an ACL tag."""

import pytest

from store.models import ConfigurationBody, ConfigurationRecord, Sensor
from store.queries.acltags import Restricted, restricted, restricted_words

OID, OTHER = "00000001-1a2b-4c3d-8e9f-001122334455", "00000002-1a2b-4c3d-8e9f-001122334455"


@pytest.fixture
def tagged(store):
    """Three secrets and a rule of one organization, two sensors, and another organization's."""
    with store.writing() as c:
        c.execute(ConfigurationBody.__table__.insert().values(hash="h", body=b""))
        for oid, section, name, tags, valid_to in (
            (OID, "hive/secret", "a", ["acl:finance"], None),
            (OID, "hive/secret", "b", ["acl:soc", "x"], None),
            (OID, "hive/secret", "c", ["facl:no"], None),
            (OID, "hive/secret", "gone", ["acl:old"], 5),
            (OID, "hive/dr-general", "rule", None, None),
            (OTHER, "hive/dr-general", "rule", ["acl:other"], None),
            (OID, "hive/extension_config", "e", ["acl:ext"], None),
        ):
            c.execute(
                ConfigurationRecord.__table__.insert().values(
                    oid=oid, section=section, name=name, hash="h", metadata={"tags": tags}, etag="", author="",
                    valid_from=1, valid_to=valid_to,
                )
            )  # fmt: skip
        for number, tags in enumerate((["acl:vip"], ["windows"])):
            c.execute(
                Sensor.__table__.insert().values(Sensor(oid=OID, sid=f"s{number}", tags=tags).model_dump())
            )
    return store


@pytest.mark.parametrize(
    ("permission", "wanted"),
    [
        ("secret.get", Restricted("hive/secret", 3, 2, ("finance", "soc"))),
        ("secret.get.mtd", Restricted("hive/secret", 3, 2, ("finance", "soc"))),
        ("ext.conf.set", Restricted("hive/extension_config", 1, 1, ("ext",))),
        ("sensor.get", Restricted("sensors", 2, 1, ("vip",))),
        ("dr.set", None),
        ("org.get", None),
        ("brand.new", None),
    ],
)
def test_what_is_tagged_is_counted_of_what_the_permission_is_about(tagged, permission, wanted):
    with tagged.reader.reading() as c:
        assert restricted(c, OID, permission) == wanted


def test_the_words_name_a_few_scopes():
    said = restricted_words(Restricted("hive/secret", 41, 5, ("a", "b", "c", "d", "e")))
    assert said == (
        "5 of 41 records of hive/secret stand behind an ACL tag (a, b, c and 2 more): seen only by its members"
    )
