import copy
import pickle
import traceback

import pytest

from store.secret import Secret

VALUE = "hunter2-hunter2"


def test_a_secret_is_given_back_only_by_reveal():
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>30}",
        str([secret]),
        str(dir(secret)),
    ):
        assert VALUE not in shown


def test_a_secret_does_not_leave_the_process():
    with pytest.raises(TypeError, match="not pickled") as caught:
        pickle.dumps(Secret(VALUE))
    assert VALUE not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(TypeError):
        vars(Secret(VALUE))


def test_secrets_compare_by_value_and_only_with_secrets():
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert copy.deepcopy(Secret(VALUE)) == Secret(VALUE)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(VALUE))


def test_only_text_is_a_secret_and_an_empty_one_is_none():
    assert not Secret("")
    with pytest.raises(TypeError):
        Secret(b"bytes")
