"""The catalogue of permissions."""

from store.permissions import OTHER, catalogue, categories, is_privileged, known, roles


def test_permissions_are_grouped_in_the_order_of_the_reference() -> None:
    seen = ["user.ctrl", "dr.set", "dr.list", "org.get", "zebra.fly", "secret.set", "alpha.x"]
    assert categories(seen) == [
        ("organization", ["org.get"]),
        ("access", ["user.ctrl"]),
        ("detection", ["dr.list", "dr.set"]),
        ("config-hive", ["secret.set"]),
        (OTHER, ["alpha.x", "zebra.fly"]),
    ]


def test_a_grant_of_one_record_stands_behind_its_family() -> None:
    seen = ["secret.set", "secret.get.my.key", "secret.get", "secret.get.mtd", "secret.get.a"]
    assert categories(seen) == [
        ("config-hive", ["secret.get", "secret.get.a", "secret.get.my.key", "secret.set", "secret.get.mtd"])
    ]
    assert categories(["acl.get.x", "sensor.get.x"]) == [(OTHER, ["acl.get.x", "sensor.get.x"])]


def test_the_privileged_ones_are_three() -> None:
    assert {each.name for each in catalogue() if each.privileged} == {
        "apikey.ctrl",
        "user.ctrl",
        "billing.ctrl",
    }
    assert is_privileged("user.ctrl")
    assert not is_privileged("dr.set")
    assert not is_privileged("unheard.of")


def test_every_permission_of_a_role_is_known_and_none_is_doubtful() -> None:
    assert list(roles()) == ["Owner", "Administrator", "Operator", "Viewer", "Basic"]
    assert roles()["Basic"] == ("org.get", "sensor.list")
    for held in roles().values():
        for name in held:
            found = known(name)
            assert found is not None
            assert not found.doubtful
    assert set(roles()["Owner"]) - set(roles()["Administrator"]) == {"apikey.ctrl", "billing.ctrl"}


def test_the_catalogue_has_no_name_twice() -> None:
    names = [each.name for each in catalogue()]
    assert len(names) == len(set(names)) == 166
    assert {each.kind for each in catalogue()} == {"read", "write", "control"}
