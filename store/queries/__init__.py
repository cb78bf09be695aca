"""The questions that screens and commands ask; the same modules as `store.models`.

Each takes an open connection (`with reader.reading() as connection`) and answers frozen dataclasses,
never rows of the ORM. Every text in them that came from outside is still raw: `store.text.safe_text`
makes it safe where it is shown. Only Core is used: it is six times faster than the ORM per page.
"""
