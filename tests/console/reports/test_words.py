"""What reports say, in each language."""

from types import SimpleNamespace

import pytest

from console.reports.provider import gaps
from console.reports.words import LANGUAGES, words


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["Rosengård Opticians S.A.", "Acme Dental"])
def test_a_name_that_ends_in_a_full_stop_ends_the_sentence_that_says_who_is_missing(language, name):
    found = SimpleNamespace(missing=[SimpleNamespace(name=name)], customers=[None] * 3)
    (said,) = gaps(found, words(language))
    assert said.endswith(f" {name.removesuffix('.')}.")


def test_no_language_has_words_that_another_one_lacks():
    keys = {language: set(words(language).said) for language in LANGUAGES}
    assert len(set(map(frozenset, keys.values()))) == 1
