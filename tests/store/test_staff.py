"""Who is staff, by the domain of an address."""

import pytest

from store.staff import (
    DOMAINS,
    LEFT,
    STAFF,
    Staff,
    covering,
    domain_of,
    domains_in,
    left_in,
    staff_of,
    wrong,
)


def test_declared_domains_decide_alone_and_stand_for_those_below() -> None:
    staff = staff_of(["provider.example"], [], ["eve@partner.example"])
    assert staff.source == "declared"
    assert "ada@provider.example" in staff
    assert "ada@mail.provider.example" in staff
    assert "eve@partner.example" not in staff
    assert "ada@notprovider.example" not in staff
    assert "provider.example (staff_domains of the tree)" in staff.words


def test_without_them_the_owners_of_groups_tell() -> None:
    staff = staff_of([], [], ["root@provider.example"])
    assert staff.source == "derived"
    assert "ada@provider.example" in staff
    assert "as the owners of groups have" in staff.words


def test_a_customers_domain_is_never_taken_for_staffs() -> None:
    assert staff_of([], ["acme.example"], ["kim@acme.example", "kim@eu.acme.example"]) == Staff()


def test_of_a_domain_where_anybody_gets_a_mailbox_only_the_owner_counts() -> None:
    staff = staff_of([], [], ["soc.lead@gmail.com"])
    assert "soc.lead@gmail.com" in staff
    assert "somebody@gmail.com" not in staff


def test_nobody_is_staff_where_nothing_tells() -> None:
    staff = staff_of([], [], [])
    assert staff.source == ""
    assert "ada@provider.example" not in staff
    assert "not known" in staff.words


def test_domains_are_found_by_what_follows_the_last_at() -> None:
    assert domain_of("Odd@Name@Acme.Example") == "acme.example"
    assert domain_of("hash-of-a-key") == ""
    assert covering("a.b.acme.example", {"acme.example", "b.acme.example"}) == "b.acme.example"
    assert covering("", {"acme.example"}) == ""


@pytest.mark.parametrize(
    ("name", "value", "root", "says"),
    [
        (STAFF, ["provider.example"], True, ""),
        (STAFF, "provider.example", True, ""),
        (STAFF, ["provider.example"], False, "belongs to the root"),
        (STAFF, ["ada@provider.example"], True, "takes a domain"),
        (STAFF, [], True, "takes a domain"),
        (STAFF, 7, True, "takes a domain"),
        (DOMAINS, ["acme.example", "acme.co.uk"], False, ""),
        (DOMAINS, ["localhost"], False, "takes a domain"),
        (LEFT, ["kim@acme.example"], True, ""),
        (LEFT, ["acme.example"], True, "takes an address"),
        (LEFT, ["kim@acme.example"], False, "belongs to the root"),
    ],
)
def test_what_is_malformed_is_said_and_passed_over(name: str, value: object, root: bool, says: str) -> None:
    said = wrong(name, value, root=root)
    assert bool(said) == bool(says)
    assert says in said
    if root and says:
        assert domains_in({name: value}, name) == () if name != LEFT else not left_in({name: value})


def test_addresses_and_domains_are_read_in_lower_case() -> None:
    assert domains_in({DOMAINS: ["Acme.Example"]}, DOMAINS) == ("acme.example",)
    assert left_in({LEFT: "Kim@Acme.Example"}) == {"kim@acme.example"}
