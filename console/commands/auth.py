"""`limegrove auth`: credentials, kept in the keyring."""

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.credentials import Credential, Vault
    from store.secret import Secret


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `auth`. No option ever takes a secret: other users can read a command line."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    login = verbs.add_parser("login", help="keep a credential under the name of an environment (--env)")
    login.add_argument("--kind", choices=("user", "organization"), help="user with --uid, else organization")
    login.add_argument("--uid", metavar="UID", help="the user's id, for a user's API key")
    login.add_argument("--oid", metavar="OID", help="the organization's id, for an organization's API key")
    login.add_argument(
        "--endpoint",
        metavar="URL",
        help="one base URL in place of LimaCharlie's hosts; http only on loopback",
    )
    login.add_argument(
        "--key-fd", type=_descriptor, metavar="N", help="read the API key from this descriptor"
    )
    _passphrase_option(login)
    login.set_defaults(verb="login")

    logout = verbs.add_parser("logout", help="forget the credential of an environment (--env)")
    logout.set_defaults(verb="logout")

    shown = verbs.add_parser("list", help="the environments: kind, backend, endpoint; never a secret")
    shown.set_defaults(verb="list")

    taken = verbs.add_parser("import", help="take over the official client's credentials")
    taken.add_argument(
        "--file", dest="official_file", metavar="FILE", help="in place of the official client's own"
    )
    taken.add_argument(
        "--endpoint", metavar="URL", help="where these keys may be sent, in place of LimaCharlie's hosts"
    )
    taken.add_argument("--keep", action="store_true", help="leave the plaintext where it is, without asking")
    _passphrase_option(taken)
    taken.set_defaults(verb="import")

    who = verbs.add_parser("whoami", help="who the credential speaks for, and for how many organizations")
    _passphrase_option(who)
    who.set_defaults(verb="whoami")


def run(session: Session) -> int:
    """Do the verb; the exit code."""
    descriptor = getattr(session.arguments, "passphrase_fd", None)
    if descriptor is not None:
        from console.credentials import passphrase_from

        passphrase_from(descriptor)
    verbs = {"login": _login, "logout": _logout, "list": _list, "import": _import, "whoami": _whoami}
    return verbs[session.arguments.verb](session)


def _login(session: Session) -> int:
    from console.credentials import vault

    session.refuse_read_only("auth login")
    settings = session.settings
    store = vault(settings)
    _refuse_no_place(store)
    credential = _asked_for(session)
    ident = ""
    if not settings.offline:
        ident = session.run(_verified(session, credential))
    with _journalled(session, settings.environment, "auth.login") as detail:
        entry = store.save(settings.environment, credential)
        detail.update(vars(entry))
    session.show_object(
        {
            "environment": entry.environment,
            "kind": entry.kind,
            "uid": entry.uid,
            "oid": entry.oid,
            "endpoint": entry.endpoint,
            "backend": entry.backend,
            "verified": not settings.offline,
            "ident": ident,
        }
    )
    return 0


def _logout(session: Session) -> int:
    from console.credentials import vault

    session.refuse_read_only("auth logout")
    environment = session.settings.environment
    with _journalled(session, environment, "auth.logout"):
        if not vault(session.settings).remove(environment):
            raise Problem(
                f"There is no credential for the environment {environment}; `limegrove auth list` names them."
            )
    session.show_object({"environment": environment, "removed": True})
    return 0


def _list(session: Session) -> int:
    from console.credentials import vault
    from console.process import take_environment_credentials
    from store.times import rfc3339

    settings = session.settings
    rows: list[dict[str, Any]] = []
    handed = take_environment_credentials()
    if handed is not None:
        rows.append(_row(settings.environment, handed, settings.endpoint, "LC_API_KEY") | {"saved_at": None})
    for entry in vault(settings).entries():
        rows.append(
            _row(entry.environment, entry, entry.endpoint, entry.backend)
            | {"saved_at": rfc3339(entry.saved_at)}
        )
    session.show_rows(rows, ["environment", "kind", "backend", "endpoint", "uid", "oid"])
    return 0


def _row(environment: str, who: Any, endpoint: str | None, backend: str) -> dict[str, Any]:
    return {
        "environment": environment,
        "kind": who.kind,
        "uid": who.uid,
        "oid": who.oid,
        "endpoint": endpoint,
        "backend": backend,
    }


def _import(session: Session) -> int:
    from pathlib import Path

    from console import official
    from console.credentials import vault
    from console.limacharlie.errors import Auth, LimaCharlieError
    from console.process import official_files

    session.refuse_read_only("auth import")
    settings = session.settings
    path, tokens = official.locate(official_files(), Path.home())
    if session.arguments.official_file:
        path = Path(session.arguments.official_file).absolute()
        tokens = Path(f"{path}_jwt_cache")
    found = official.read(path, settings.endpoint)
    if not found:
        raise Problem(f"{path} holds no credentials.")
    store = vault(settings)
    _refuse_no_place(store)
    present = {entry.environment for entry in store.entries()}
    rows: list[dict[str, Any]] = []
    imported: set[str] = set()
    for each in found:
        reason = each.reason
        if each.credential is not None:
            if each.environment in present and not session.ask(
                f"The environment {each.environment} has a credential already. Replace it?"
            ):
                reason = "the environment has a credential already"
            elif not settings.offline:
                try:
                    session.run(_who(session, each.credential))
                except Auth:
                    reason = "LimaCharlie refuses the key"
                except LimaCharlieError as error:
                    reason = str(error).rstrip(".")
            if not reason:
                with _journalled(session, each.environment, "auth.import") as detail:
                    detail.update(vars(store.save(each.environment, each.credential)))
                imported.add(each.original)
        rows.append(
            {
                "name": each.original,
                "environment": each.environment,
                "kind": each.credential.kind if each.credential else None,
                "imported": not reason,
                "reason": reason,
            }
        )
    removed = 0
    if (
        imported
        and not session.arguments.keep
        and session.ask(
            f"Remove the {len(imported)} imported keys from {path}, and the cached tokens beside it?"
        )
    ):
        removed = official.forget(path, imported)
        official.forget_tokens(tokens)
    session.show_object(
        {"file": str(path), "plaintext_removed": removed, "environments": rows},
        rows,
        ["name", "environment", "kind", "imported", "reason"],
    )
    session.say_each(f"{row['name']} was not imported: {row['reason']}." for row in rows if row["reason"])
    if not imported:
        return 1
    return 0 if len(imported) == len(rows) else 3


def _whoami(session: Session) -> int:
    from console.credentials import credential

    if session.settings.offline:
        raise Problem(
            "`auth whoami` asks LimaCharlie, and --offline forbids it; leave --offline out.", code=5
        )
    found = credential(session.settings)
    session.show_object(session.run(_standing(session, found)))
    return 0


async def _standing(session: Session, credential: "Credential") -> dict[str, Any]:
    from console.limacharlie.errors import LimaCharlieError
    from console.operations.connecting import connect_with

    async with connect_with(credential, session.settings) as cloud:
        who = await cloud.who()
        oids = [row.oid async for page in cloud.organizations() for row in page]
        permissions: int | None
        try:
            # With very many organizations the gateway refuses a token that names them all.
            everywhere = await cloud.who(everywhere=True)
            permissions = len({name for names in everywhere.permissions.values() for name in names})
        except LimaCharlieError:
            permissions = None
    return {
        "environment": session.settings.environment,
        "kind": credential.kind,
        "ident": who.ident,
        "uid": credential.uid,
        "oid": credential.oid,
        "endpoint": credential.endpoint,
        "organizations": len(oids),
        "permissions": permissions,
    }


async def _verified(session: Session, credential: "Credential") -> str:
    """The ident that the endpoint knows this key by.

    Raises:
        Problem: it refuses the key, or cannot be reached; nothing was stored.
    """
    from console.limacharlie.errors import Auth, Denied, LimaCharlieError

    try:
        return await _who(session, credential)
    except (Auth, Denied):
        where = credential.endpoint or "LimaCharlie"
        whom = f"uid {credential.uid}" if credential.uid else f"organization {credential.oid}"
        raise Problem(f"{where} refuses this key for {whom}; nothing was stored.") from None
    except LimaCharlieError as error:
        raise Problem(
            f"{str(error).rstrip('.')}; nothing was stored (--offline stores a key without asking)."
        ) from None


async def _who(session: Session, credential: "Credential") -> str:
    from console.operations.connecting import connect_with

    async with connect_with(credential, session.settings) as cloud:
        return (await cloud.who()).ident


@contextmanager
def _journalled(session: Session, environment: str, action: str) -> "Iterator[dict[str, Any]]":
    """Do something and write it into the environment's own store; where there is none, a login makes none.

    Yields:
        The entry's detail, to be filled in.

    Raises:
        StoreError: the store cannot be written; before anything was done.
    """
    from console.operations.actor import actor
    from console.settings import load
    from store.database import Store, sqlite_path
    from store.journal import append

    url = load(argparse.Namespace(**(vars(session.arguments) | {"env": environment}))).store_url
    path = sqlite_path(url)
    detail: dict[str, Any] = {}
    if path is not None and not path.exists():
        yield detail
        return
    store = Store(url)
    try:
        yield detail
        with store.writing() as connection:
            append(connection, actor(), action, target=environment, detail=detail)
    finally:
        store.close()


def _asked_for(session: Session) -> "Credential":
    """The credential that the options, and whoever sits at the terminal, describe."""
    from console.redaction import remember
    from store.credentials import Credential, CredentialError

    arguments = session.arguments
    kind = arguments.kind or ("organization" if arguments.oid and not arguments.uid else "user")
    uid, oid = arguments.uid or "", arguments.oid or ""
    if kind == "organization" and uid:
        raise Problem("An organization's key has no uid: leave --uid out, or take --kind user.", code=2)
    if kind == "user" and not uid:
        uid = _typed("uid of the user: ", "--uid")
    if kind == "organization" and not oid:
        oid = _typed("oid of the organization: ", "--oid")
    secret = _secret(arguments.key_fd)
    remember(secret)
    try:
        return Credential(kind=kind, secret=secret, uid=uid, oid=oid, endpoint=session.settings.endpoint)
    except CredentialError as error:
        raise Problem(f"{error} Nothing was stored.", code=2) from None


def _secret(descriptor: int | None) -> "Secret":
    from console.credentials import ask_secret
    from store.credentials import read_descriptor
    from store.secret import Secret

    if descriptor is not None:
        return Secret(read_descriptor(descriptor, "API key").strip())
    if sys.stdin.isatty():
        return ask_secret("API key (not shown): ")
    return Secret(read_text(64 * 1024).strip())


def _typed(question: str, option: str) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Problem(f"`auth login` needs {option}.", code=2)
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _refuse_no_place(store: "Vault") -> None:
    """Before a secret is asked for: there is no use in typing it when it cannot be kept."""
    choice = store.choose()
    if not choice.backend:
        raise Problem(choice.why)


def _descriptor(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a file descriptor is a number")
    return int(text)


def _passphrase_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-fd", type=_descriptor, metavar="N", help="read the passphrase from this descriptor"
    )
