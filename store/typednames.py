"""A name that is typed before something is done that cannot be taken back easily; its id does as well."""

from store.text import safe_text


def accepted(name: str, *ids: str) -> tuple[str, ...]:
    """What may be typed for a name: as it is, as it is shown, or an id of what has it: an oid, a node's."""
    return tuple(
        dict.fromkeys(each for each in (safe_text(name).strip(), name.strip(), *ids) if each.strip())
    )


def is_named(typed: str, name: str, *ids: str) -> bool:
    """Whether that was typed."""
    return typed.strip() in accepted(name, *ids)
