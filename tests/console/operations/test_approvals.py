"""The second person: a plan's hash signed by somebody else, and every way in which it was not."""

import os
import shutil
import subprocess

import pytest
from sqlalchemy import insert, select, update

from console.operations import approvals
from console.operations.approvals import LIVES, Refused, check_signers, keep, lacking, message, missing, sign
from store import models
from store.rollouts import keeping, plans
from store.rollouts.wanted import Want

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")

NOW = 1_795_176_000_000
DANA, KIM = "dana@provider.example", "kim@provider.example"
HOUR = 60 * 60 * 1000


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two people's keys."""
    home = tmp_path_factory.mktemp("keys")
    for name in ("dana", "kim"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    return home


@pytest.fixture
def signers(keys, tmp_path, monkeypatch):
    """The allowed-signers file, which belongs to somebody else."""
    monkeypatch.setattr(approvals.os, "getuid", lambda: os.stat(tmp_path).st_uid + 4242)
    directory = tmp_path / "etc"
    directory.mkdir(mode=0o755)
    file = directory / "allowed_signers"
    allow(file, keys)
    return file


def allow(file, keys, *names, options=""):
    lines = [
        f"{name}@provider.example {options}{(keys / f'{name}.pub').read_text()}"
        for name in names or ("dana", "kim")
    ]
    file.write_text("".join(lines))
    file.chmod(0o644)


def drafted(word: str = "a") -> plans.Drafted:
    from store.rollouts.wanted import Placed, WantedSet
    from store.templates.effective import Effective

    effective = Effective({}, {}, (), ())
    placed = Placed("o1", "Acme", "Acme", frozenset(), WantedSet("h", {}, {}, frozenset(), (), effective))
    change = plans.Change("o1", "output", "siem", "added", None, Want(word, None, "t", 1))
    return plans.Drafted(
        {"o1": "Acme"},
        tuple(plans.gathered([change])),
        (),
        {"scope": "", "templates": {}},
        f"hash-{word}",
        {"o1": placed},
    )


@pytest.fixture
def plan(empty_store):
    """A plan of root's that changes an output."""
    with empty_store.writing() as c:
        plan_id = keeping.keep(c, drafted(), title="t", by="root@provider.example", now=NOW)
    return load(empty_store, plan_id)


@pytest.fixture
def empty_store(tmp_path):
    from store.database import Store

    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield store
    store.close()


def load(store, plan_id):
    with store.reader.reading() as c:
        return keeping.load(c, plan_id)


def approve(store, plan, keys, signers, *, identity=DANA, key="dana", expires_at=NOW + HOUR, now=NOW):
    signature = sign(plan, identity, keys / key, expires_at=expires_at)
    return keep(plan.id, identity, signature, signers=signers, store=store, expires_at=expires_at, now=now)


def why(store, plan, signers, *, applying=("root@provider.example",), now=NOW):
    with store.writing() as c:
        return lacking(c, plan, signers=signers, applying=applying, now=now)


def test_a_plan_that_somebody_else_signed_may_be_applied_once(empty_store, plan, keys, signers):
    assert "needs a second person" in why(empty_store, plan, signers)
    approve(empty_store, plan, keys, signers)
    assert why(empty_store, plan, signers) == ""
    assert "was used already" in why(empty_store, plan, signers)


def test_to_look_whether_a_plan_is_approved_writes_nothing(empty_store, plan, keys, signers):
    def looked():
        with empty_store.reader.reading() as c:
            return missing(c, plan, signers=signers, applying=("root@provider.example",), now=NOW)

    assert "needs a second person" in looked()
    approve(empty_store, plan, keys, signers)
    assert looked() == looked() == ""
    assert why(empty_store, plan, signers) == "", "and it is there to be used"
    assert "was used already" in looked()


def refused(store, plan, keys, signers, match, **more):
    with pytest.raises(Refused, match=match):
        approve(store, plan, keys, signers, **more)
    assert why(store, plan, signers) != ""


def test_who_planned_it_does_not_approve_it(empty_store, plan, keys, signers):
    signers.write_text(signers.read_text().replace(DANA, "root@provider.example"))
    refused(empty_store, plan, keys, signers, "planned it", identity="root@provider.example")


@pytest.mark.parametrize("applying", [(DANA,), ("root", DANA.upper())])
def test_who_applies_it_did_not_approve_it(empty_store, plan, keys, signers, applying):
    approve(empty_store, plan, keys, signers)
    assert "that takes two" in why(empty_store, plan, signers, applying=applying)


def test_a_signature_under_another_s_name_is_refused(empty_store, plan, keys, signers):
    refused(empty_store, plan, keys, signers, "no signature of plan", identity=KIM, key="dana")


def test_a_key_that_nobody_allowed_is_refused(empty_store, plan, keys, signers):
    allow(signers, keys, "kim")
    refused(empty_store, plan, keys, signers, "no signature of plan")


def test_a_key_that_was_taken_off_the_list_since_does_not_count(empty_store, plan, keys, signers):
    approve(empty_store, plan, keys, signers)
    allow(signers, keys, "kim")
    assert "no signature of plan" in why(empty_store, plan, signers)


def test_a_key_whose_time_in_the_list_has_run_out_does_not_count(empty_store, plan, keys, signers):
    allow(signers, keys, options='valid-before="20200101" ')
    refused(empty_store, plan, keys, signers, "no signature of plan")


def test_a_signature_for_something_else_is_refused(empty_store, plan, keys, signers, tmp_path):
    file = tmp_path / "plan"
    file.write_bytes(message(plan, DANA, NOW + HOUR))
    subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-q", "-f", str(keys / "dana"), "-n", "git", str(file)], check=True
    )
    with pytest.raises(Refused, match="no signature of plan"):
        keep(
            plan.id, DANA, file.with_suffix(".sig").read_text(), signers=signers, store=empty_store,
            expires_at=NOW + HOUR, now=NOW,
        )  # fmt: skip


def other(store):
    with store.writing() as c:
        return keeping.keep(c, drafted("b"), title="other", by="root@provider.example", now=NOW)


def test_the_signature_of_another_plan_is_refused(empty_store, plan, keys, signers):
    signature = sign(load(empty_store, other(empty_store)), DANA, keys / "dana", expires_at=NOW + HOUR)
    with pytest.raises(Refused, match="no signature of plan"):
        keep(plan.id, DANA, signature, signers=signers, store=empty_store, expires_at=NOW + HOUR, now=NOW)


def test_a_signature_until_later_than_was_signed_is_refused(empty_store, plan, keys, signers):
    signature = sign(plan, DANA, keys / "dana", expires_at=NOW + HOUR)
    with pytest.raises(Refused, match="no signature of plan"):
        keep(plan.id, DANA, signature, signers=signers, store=empty_store, expires_at=NOW + 2 * HOUR, now=NOW)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda text: "", "no signature of plan"),
        (lambda text: "nonsense", "no signature of plan"),
        (lambda text: text.replace("A", "B", 40), "no signature of plan"),
        (lambda text: text * 100, "far too long"),
    ],
)
def test_a_spoiled_signature_is_refused(empty_store, plan, keys, signers, spoil, match):
    signature = spoil(sign(plan, DANA, keys / "dana", expires_at=NOW + HOUR))
    with pytest.raises(Refused, match=match):
        keep(plan.id, DANA, signature, signers=signers, store=empty_store, expires_at=NOW + HOUR, now=NOW)


@pytest.mark.parametrize("expires_at", [NOW - 1, NOW, NOW + LIVES + 1000])
def test_an_approval_holds_for_at_most_four_hours(empty_store, plan, keys, signers, expires_at):
    refused(empty_store, plan, keys, signers, "at most four hours", expires_at=expires_at)


def test_an_approval_that_has_run_out_does_not_count(empty_store, plan, keys, signers):
    approve(empty_store, plan, keys, signers)
    assert "has expired" in why(empty_store, plan, signers, now=NOW + HOUR)


def test_a_plan_that_has_expired_is_not_approved(empty_store, plan, keys, signers):
    refused(empty_store, plan, keys, signers, "has expired", now=NOW + HOUR, expires_at=NOW + 2 * HOUR)


def test_a_plan_that_is_under_way_is_not_approved(empty_store, plan, keys, signers):
    with empty_store.writing() as c:
        c.execute(update(models.RolloutPlan.__table__).values(state=1))
    with pytest.raises(Refused, match="nothing to approve"):
        approve(empty_store, plan, keys, signers)


def test_a_row_that_somebody_put_into_the_store_is_checked_like_any_other(empty_store, plan, keys, signers):
    table = models.RolloutApproval.__table__
    row = {
        "plan_id": plan.id,
        "hash": plan.hash,
        "identity": DANA,
        "signed_at": NOW,
        "expires_at": NOW + HOUR,
    }
    with empty_store.writing() as c:
        c.execute(insert(table).values(**row, signature="-----BEGIN SSH SIGNATURE-----\n"))
    assert "no signature of plan" in why(empty_store, plan, signers)


def test_an_approval_of_a_plan_that_was_edited_since_does_not_count(empty_store, plan, keys, signers):
    approve(empty_store, plan, keys, signers)
    with empty_store.writing() as c:
        c.execute(update(models.RolloutPlan.__table__).values(hash="edited"))
    assert "another state of plan" in why(empty_store, load(empty_store, plan.id), signers)
    with empty_store.writing() as c:
        c.execute(update(models.RolloutApproval.__table__).values(hash="edited"))
    assert "no signature of plan" in why(empty_store, load(empty_store, plan.id), signers)


def test_a_list_that_the_operator_can_write_counts_for_nothing(keys, signers, monkeypatch, tmp_path):
    check_signers(signers)
    signers.chmod(0o666)
    with pytest.raises(Refused, match="writable for this user"):
        check_signers(signers)
    signers.chmod(0o644)
    signers.parent.chmod(0o777)
    with pytest.raises(Refused, match="lies in a directory"):
        check_signers(signers)
    signers.parent.chmod(0o755)
    monkeypatch.setattr(approvals.os, "getuid", lambda: os.stat(signers).st_uid)
    with pytest.raises(Refused, match="It has to belong to somebody else"):
        check_signers(signers)
    with pytest.raises(Refused, match="cannot be read"):
        check_signers(tmp_path / "nothing")


def test_without_a_list_a_risky_plan_is_not_applied(empty_store, plan):
    assert "No allowed-signers file is set" in why(empty_store, plan, None)


def test_what_was_approved_stands_in_the_journal(empty_store, plan, keys, signers):
    approve(empty_store, plan, keys, signers)
    journal = models.Journal.__table__
    with empty_store.reader.reading() as c:
        row = c.execute(select(journal).where(journal.c.action == "rollout.approved")).one()
    assert (row.detail["by"], row.detail["hash"]) == (DANA, plan.hash)
