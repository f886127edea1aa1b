"""What every table is made of: the column types for words from outside, and the root of the metadata.

Moments are unix milliseconds in BIGINT columns: the same number on SQLite, PostgreSQL and MariaDB, with
no time zone to get wrong. Ids from platforms are compared byte by byte (`utf8mb4_bin` on MariaDB, whose
default would take `oAbc` and `oabc` for one person).
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Integer,
    MetaData,
    String,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text without NUL and lone surrogates, which PostgreSQL and UTF-8 refuse."""
    return UNSTORABLE.sub("", text)


def fitting(name: str, length: int) -> str:
    """The identifier itself, or a shorter stand-in that is as unique, when a column could not tell it apart.

    PostgreSQL refuses a value that is too long, and MariaDB takes `id` and `id ` for one: both would let
    a stranger's odd id break a request or meet another person's dialogue.
    """
    name = storable(name)
    if len(name) <= length and not name.endswith(" "):
        return name
    mark = "~" + hashlib.sha256(name.encode()).hexdigest()[:16]
    return name[: max(0, length - len(mark))] + mark


class Words(TypeDecorator[str]):
    """Text of any length from outside."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name not in {"mysql", "mariadb"}:
            return super().load_dialect_impl(dialect)
        from sqlalchemy.dialects.mysql import MEDIUMTEXT  # other databases do not load this dialect

        # TEXT ends at 64 KiB, and an answer may be longer
        return dialect.type_descriptor(MEDIUMTEXT())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class Name(TypeDecorator[str]):
    """A short identifier from outside."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else fitting(value, self.length)


class Document(TypeDecorator[Any]):
    """JSON made of outside text and numbers."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return _storable_inside(value)


def _storable_inside(value: Any) -> Any:
    """The JSON value without what MariaDB's and PostgreSQL's own checks refuse, at any depth."""
    match value:
        case str():
            return storable(value)
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {storable(str(name)): _storable_inside(each) for name, each in value.items()}
        case list() | tuple():
            return [_storable_inside(each) for each in value]
    return value


BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
# the steps of the schema give them; as options of a Table they would load MySQL's dialect in every process
ON_MYSQL = {"info": {"mysql": {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}}}


class Base(DeclarativeBase):
    """Root of the tables' metadata; every constraint has a name, so that a migration can drop it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
