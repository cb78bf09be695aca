"""Which keys may be whose."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from screens.keymap import ASKING, WIDGETS, YES, KeymapError, bindings, in_force, is_key, judge
from screens.keys import press, use_keymap, with_keys

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(r"\{([a-z_]+\.[a-z_]+)=([^}]+)\}")


def test_keys_are_judged_under_textuals_names_and_what_is_not_given_keeps_its_own():
    keymap = judge({"alerts.close": "d, f6", "app.help": "?"})
    assert keymap == {"alerts.close": ("d", "f6"), "app.help": ("question_mark",)}
    by_id = {each.id: each for each in bindings() if each.view == "alerts"}
    assert in_force(keymap, by_id["alerts.close"]) == ("d", "f6")
    assert in_force(keymap, by_id["alerts.claim"]) == ("c",)


def test_two_bindings_may_swap_their_keys():
    assert judge({"alerts.claim": "x", "alerts.close": "c"}) == {
        "alerts.claim": ("x",),
        "alerts.close": ("c",),
    }


def test_the_example_of_the_readme_can_be():
    example = (ROOT / "README.md").read_text().partition("```toml\n[keys]")[2].partition("```")[0]
    given = tomllib.loads(f"[keys]{example}")["keys"]
    assert judge(given).keys() == given.keys() == {"alerts.close", "app.help", "move.cursor_down"}


def test_a_key_may_mean_something_else_in_another_view():
    assert judge({"alerts.note": "P"}) == {"alerts.note": ("P",)}  # `P` plans in Access


def test_a_binding_may_keep_its_key_and_take_another():
    assert judge({"alerts.close": "x,d"}) == {"alerts.close": ("x", "d")}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"alerts.clse": "d"}, "no binding 'alerts.clse', did you mean 'alerts.close'.*config keys` lists"),
        ({"zzz": "d"}, "no binding 'zzz'; `limegrove config keys` lists them"),
        ({"alerts.close": ""}, "'alerts.close' is empty: it would have no key"),
        ({"app.quit": " "}, "'app.quit' is empty: nothing would leave the console; give it a key"),
        ({"alerts.close": "d,"}, "an empty key in 'd,'; the key of a comma is written `comma`"),
        ({"alerts.close": "hyper+q"}, "has 'hyper\\+q', which no terminal sends"),
        ({"alerts.close": "ctrl+i"}, "has 'ctrl\\+i', which no terminal sends"),
        ({"alerts.close": "5"}, "has '5', and a digit is a count"),
        ({"alerts.close": "c"}, "'alerts.close' has 'c', which is the key of 'alerts.claim' in alerts"),
        ({"alerts.close": "r"}, "which is the key of 'app.sync' in alerts; choose another"),
        ({"alerts.close": "j"}, "which is the key of 'move.cursor_down' in alerts"),
        ({"alerts.close": "ctrl+q"}, "which is the key of 'app.quit' in alerts"),
        ({"move.cursor_down": "n"}, "'move.cursor_down' has 'n', which is the key of '[a-z]+\\.[a-z]+' in"),
        ({"move.page_down": "space"}, "which is the key of '(move.mark|organizations|access|findings).*' in"),
        ({"alerts.close": "f6", "alerts.claim": "f6"}, "which is the key of 'alerts.cl(aim|ose)' in alerts"),
        ({"access.next": "z"}, "'access.next' has 'z', which is the key of 'matrix.fold' in access"),
        ({"confirm.yes": "x"}, "'confirm.yes' is of a dialog, .*take this line out"),
        ({"dialog.leave": "f6"}, "'dialog.leave' is of a dialog"),
        ({"line.cancel": "f6"}, "the command line"),
        ({"opening.leave": "f6"}, "the opening screen"),
        ({"apikeys.revoke": "y"}, "'apikeys.revoke' has 'y', which is the answer yes to what it asks"),
        ({"runs.begin": "a"}, "the answer yes to what it asks \\(.*\\): pressed twice"),
        ({"app.quit": "y"}, "'app.quit' has 'y', which is the answer yes"),
    ],
)
def test_what_cannot_be_is_one_sentence(given, sentence):
    with pytest.raises(KeymapError, match=sentence) as refused:
        judge(given)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_every_binding_says_what_it_does_and_has_keys_that_a_terminal_sends():
    for each in bindings():
        assert each.says, each
        assert all(is_key(key) for key in each.keys), each


def test_no_binding_of_a_dialog_can_be_rebound():
    for each in bindings():
        if each.view.startswith("dialog ") and not each.id.startswith("move."):
            with pytest.raises(KeymapError):
                judge({each.id: "f6"})


def test_the_bindings_that_are_named_are_there():
    known = {each.id for each in bindings()}
    assert known >= ASKING
    assert known >= YES
    assert {each.view for each in bindings()} >= WIDGETS.keys()


def test_no_question_can_be_answered_by_the_key_that_asks_it_as_it_is():
    answers = {key for each in bindings() if each.id in YES for key in each.keys}
    own = {(each.id, key) for each in bindings() for key in each.keys if each.id in ASKING}
    assert {name for name, key in own if key in answers} <= {
        "drift.accept",
        "review.attest",
        "templates.assign",
    }


def keys_that_are_said() -> list[tuple[str, str, str]]:
    """(file, id, own key) of every sentence that names a key: `press("app.sync", "r")`, `{app.sync=r}`."""
    found = []
    for room in ("screens", "console"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if path == ROOT / "screens" / "keys.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "press":
                    name, default = (ast.literal_eval(argument) for argument in node.args)
                    found.append((path.name, name, default))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found += [(path.name, *pair) for pair in TOKEN.findall(node.value)]
    return found


WRITTEN = {
    "!": "exclamation_mark", "esc": "escape", "space": "space", "enter": "enter", ";": "semicolon", "*": "asterisk", "/": "slash",
    ":": "colon", "?": "question_mark", "=": "equals_sign", "]": "right_square_bracket", ".": "full_stop",
}  # fmt: skip


def test_every_sentence_names_a_binding_that_is_there_by_a_key_that_it_has():
    own: dict[str, set[str]] = {}
    for each in bindings():
        own.setdefault(each.id, set()).update(each.keys)
    calls = keys_that_are_said()
    assert len(calls) > 100
    for file, name, default in calls:
        assert WRITTEN.get(default, default) in own.get(name, set()), (file, name, default)


def test_a_text_names_the_key_that_is_in_force():
    text = "Nothing yet. {app.sync=r} or :sync reads the cloud."
    try:
        assert with_keys(text) == "Nothing yet. r or :sync reads the cloud."
        assert press("app.quit", "ctrl+q") == "ctrl+q"
        use_keymap({"app.sync": ("f5", "ctrl+r"), "app.quit": ("ctrl+x",)})
        assert with_keys(text) == "Nothing yet. f5 or :sync reads the cloud."
        assert press("app.quit", "ctrl+q") == "^x"
    finally:
        use_keymap({})
