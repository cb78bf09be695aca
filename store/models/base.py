"""What every table's model has in common."""

from sqlmodel import SQLModel


class Model(SQLModel):
    """A row of a table, which is written without being validated.

    Its validator is built when somebody asks for one: to build all of them took a fifth of the time that
    importing the tables takes, and is paid before the first paint.
    """

    model_config = {"defer_build": True}
