"""Rule files as they lie in public repositories: each is imported, or refused with a sentence that helps.

The files are not here, only their hashes. Where `LIMEGROVE_CORPUS` names the directory above `rules`, each of
them is looked up; one that the table does not know is only asked not to break anything.
"""

import hashlib
import os
from contextlib import closing
from pathlib import Path

import pytest

from console.operations.templates import import_templates
from store.database import Store

IMPORTED = ""
CONDITION = "only the condition of a rule"
TWO = "a list begins beside a mapping"
MISPLACED = "holds rules where no client reads them"

TABLE = {
    # Whole documents. Their rules stand in the old section `rules:` with a namespace, which is as good as
    # `hives: dr-general:`, so they are taken as that, with a warning, beside their resources and watches.
    "640f52a20eeb4b336b4e7e37c9dfe3a0abf2b68246bbcc3beb4c340a9fc51e1c": ("blackmatter_ransomware.yml", 14, IMPORTED),
    "5418f88d8dddb1a3aa2a17d5bc6a9a7b3fa9403a0661797b2f96af3fb5579651": ("log4j.yml", 4, IMPORTED),
    # `Rules:` with a capital is no section, and twelve more stand at the top of the file beside it: a push
    # ignores every one of them and reports success. Taking it would be to protect nobody and say nothing.
    "b18de842d8238833334dd2edbdc92e3336f7c9380b202c83c6598f81c683a37e": ("guloader.yml", 5, MISPLACED),
    # A condition, and behind it a response as a list at the left edge: two halves of a rule, and no YAML.
    "648a3503299a3752138ccdeddd5d708ff8ccfcca1eaf18a96ab05b80c03d671e": ("T1053.yml", 19, TWO),
    # Bare conditions, the technique in the name of the file: what a match does (a report under which name and
    # priority, or only a task) is a decision, which nobody but their author can take.
    "a6f43771f17e5204e64473a609ad3fd51048b4157973a501829144dfd7db4a55": ("T1015.yml", 4, CONDITION),
    "c2e4dcc06bbd8424fd08f8c7ef42a4d382bbf1b60cf6e4c653ec11d1210c3211": ("T1042.yml", 4, CONDITION),
    "68e1ed6139edcf4c2df820b8edd46fa1a423e15a7bd374c3ca9e97f486c22721": ("T1103.yml", 3, CONDITION),
    "2f574f11af6a520eb2d0d491faaf12c3e2fd669b3e28983c5043698b42766fae": ("T1121.yml", 4, CONDITION),
    "6f2cfa73666d014f80f57726b20a68f1958ff3e1d8f087100014ead2fdcb0397": ("T1122.yml", 4, CONDITION),
    "2700e1a1f1270f400a112492aaddca5f8028a8d5155c7d23ea4a10bde0d1d9c3": ("T1136.yml", 3, CONDITION),
    "aa5ce0a49e6c96e01f1d4c60cb4d2a523946fb659ae18cf76d74d4e0d236e360": ("T1138.yml", 3, CONDITION),
    "2b8f4086eac543b7eee41b9dab33223220cbdb99c5ced2bfebf4c9a4eb5c41d0": ("T1158.yml", 3, CONDITION),
    "aa29a99f9916d5fd2b6bd5b017f80816e319bfffe08cc4488e974595e8a53ffd": ("T1170.yml", 4, CONDITION),
    "defef1f6095fe04e2529ede7975e1afcfe4bc928268e8771c629ce7b3ca92785": ("T1182.yml", 3, CONDITION),
    "b2779e3603d53087f038daf189b44250463cb92b9f1b69e9fdb4170a1ae1497a": ("T1191.yml", 3, CONDITION),
    "dc5051a6d8da6bdc4f4f85025c4b1d813fc12bf3ea5fd2a612b76b71bb51c290": ("T1196.yml", 3, CONDITION),
    "b36371d0f089b91439254dc0ac20efc0401cba1a5c6559cbe060652ddd07166f": ("T1197.yml", 3, CONDITION),
    "1151f238b70d73e4fe237e091b98fe5581958c4b598e52ea449fc503ff279047": ("T1218.yml", 4, CONDITION),
}  # fmt: skip
"""SHA-256 of a file: its name, the records that it comes to or the line that is wrong, and why it is refused."""


def found() -> list[Path]:
    corpus = os.environ.get("LIMEGROVE_CORPUS")
    directory = Path(corpus) / "rules" if corpus else None
    return sorted(directory.rglob("*.y*ml")) if directory is not None and directory.is_dir() else []


@pytest.fixture
def store(tmp_path):
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as opened:
        yield opened


def test_each_known_file_is_imported_or_refused_as_the_table_says(store):
    for path in found():
        name, number, reason = TABLE.get(hashlib.sha256(path.read_bytes()).hexdigest(), (None, 0, ""))
        made = import_templates(path, root=path.parent, store=store)
        if name is None:
            assert len(made.taken) + len(made.refused) + made.skipped == 1, path
        elif reason == IMPORTED:
            assert [each.records for each in made.taken] == [number], (path, made.refused)
            assert not made.refused
        else:
            assert not made.taken
            (refused,) = made.refused
            assert (refused.file, refused.line) == (path.name, number)
            assert reason in refused.reason


def test_a_file_like_each_of_them_is_taken_or_refused_in_the_same_way(store, tmp_path):
    """The same shapes, made here: what is above holds without the files too."""
    rule = "  one:\n    namespace: general\n    detect: {op: exists, event: NEW_PROCESS, path: event/A}\n"
    rule += "    respond: [{action: report, name: one}]\n"
    files = {
        "old.yml": ("version: 3\nrules:\n" + rule, IMPORTED),
        "capital.yml": ("version: 3\nRules:\n" + rule, MISPLACED),
        "halves.yml": ("op: exists\npath: event/A\n\n# Then:\n- action: report\n  name: one\n", TWO),
        "condition.yml": ("# A technique.\nop: exists\nevent: NEW_PROCESS\npath: event/A", CONDITION),
    }
    for name, (text, reason) in files.items():
        (tmp_path / name).write_text(text)
        made = import_templates(tmp_path / name, root=tmp_path, store=store)
        assert bool(made.taken) == (reason == IMPORTED)
        assert bool(made.refused) == (reason != IMPORTED)
        assert all(reason in each.reason for each in made.refused)
        assert [each.findings[0].severity for each in made.taken] in ([], ["warning"])
