"""Templates as they were imported, and where in the tree they hold."""

from sqlalchemy import BigInteger, LargeBinary
from sqlmodel import Field

from store.models.base import Model


class TemplateVersion(Model, table=True):
    """One state of a template; a changed file makes another."""

    __tablename__ = "template_version"

    name: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """From 1 on; the newest one holds."""
    main: str
    """The document among its files."""
    hash: str
    """SHA-256 over the paths and contents of its files: what an approval or a plan refers to."""
    source: str = Field(default="")
    """The directory that it was read from."""
    imported_at: int = Field(sa_type=BigInteger)
    imported_by: str = Field(default="")


class TemplateFile(Model, table=True):
    """A file of a version, by its path below the template's directory."""

    __tablename__ = "template_file"

    name: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    path: str = Field(primary_key=True)
    hash: str
    """SHA-256 of its content, which is in `template_content`."""


class TemplateContent(Model, table=True):
    """The bytes of a file, once, however many versions have it."""

    __tablename__ = "template_content"

    hash: str = Field(primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)
    """As received, packed by `store.bodies`."""


class TemplateAssignment(Model, table=True):
    """A layer: a template on a node of the tree."""

    __tablename__ = "template_assignment"

    node_id: str = Field(primary_key=True)
    """No foreign key: a tree is imported as a whole, and a node keeps its layers meanwhile."""
    template: str = Field(primary_key=True, index=True)
    position: int
    """Among those of the node: the lower one is laid first."""
    assigned_at: int = Field(sa_type=BigInteger)
    assigned_by: str = Field(default="")
