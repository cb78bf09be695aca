"""What is taken where a name is typed."""

import pytest

from store.accessplans import confirmed, or_id
from store.text import safe_text
from store.typednames import is_named

HIDDEN = "Acme\u200b Dental"


@pytest.mark.parametrize("typed", ["さくら Hotels", " さくら Hotels ", "7e41c2d0"])
def test_a_name_or_the_id_of_what_has_it(typed):
    assert is_named(typed, "さくら Hotels", "7e41c2d0")
    assert confirmed([("7e41c2d0", "さくら Hotels")], typed)


@pytest.mark.parametrize("typed", ["", " ", "さくら", "7e41c2d", "7E41C2D0"])
def test_nothing_else(typed):
    assert not is_named(typed, "さくら Hotels", "7e41c2d0")
    assert not is_named(typed, "", "")
    assert not is_named(typed, " ", "7e41c2d0")
    assert not confirmed([("7e41c2d0", "さくら Hotels")], typed)


def test_a_name_that_no_keyboard_has_is_typed_as_it_is_shown():
    assert safe_text(HIDDEN) != HIDDEN
    assert is_named(safe_text(HIDDEN), HIDDEN)


def test_of_several_how_many_they_are_is_typed_and_no_id_does():
    held = [("a", "A"), ("b", "B")]
    assert or_id(held) == ""
    assert not confirmed(held, "a")
    assert or_id(held[:1]) == " or its id a"
