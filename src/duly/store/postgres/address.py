"""Where a store is: which database, and which schema of it."""

from __future__ import annotations

from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from duly.core import urls
from duly.errors import OptionInvalid


class Address(NamedTuple):
    """A database, by a url as libpq takes it, and a schema of it."""

    conninfo: str
    schema: str

    def __str__(self) -> str:
        """What people may see of both."""
        return f"{urls.shown(self.conninfo)} (schema {self.schema})"

    def without_secrets(self, text: str) -> str:
        """Return what libpq or a server says, in one line and without what is secret in the url."""
        return urls.without_secrets(" ".join(text.split()), self.conninfo)


def address_of(conninfo: str, schema: str) -> Address:
    """Return an address that libpq can read; raises `OptionInvalid`.

    >>> str(address_of("postgresql://ann:secret@db.example.com/shop", "duly"))
    'postgresql://ann:***@db.example.com/shop (schema duly)'
    """
    address = Address(conninfo, urls.check_schema(schema))
    try:
        conninfo_to_dict(conninfo)
    except (psycopg.Error, UnicodeError) as error:
        raise OptionInvalid(f"bad url {address}: {address.without_secrets(str(error))}") from None
    return address
