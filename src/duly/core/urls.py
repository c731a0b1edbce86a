"""Urls of stores that a server keeps: what they name, and how they are shown, for they may hold a password."""

from __future__ import annotations

import re

from duly.errors import OptionInvalid

SCHEMES = ("postgresql://", "postgres://")

SECRET = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""Parameters of a url that nobody else is to see."""

HIDDEN = "***"
MOST_SCHEMA = 40
"""Characters of a schema's name: those of its channels are longer, and may have 63."""

_PAIR = re.compile(r"(\bpassword\s*=\s*)(?!\*)(?:'[^']*'|[^\s&]+)")  # of the other notation: host=... password=...
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]*")
_HOST = r"(?:\[[^\]]*\]|[^:/,@\[]*)(?::\d*)?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*(?:/[^@]*)?")


def on_server(url: str) -> bool:
    """Whether a url names a store that a server keeps."""
    return url.startswith(SCHEMES)


def divided(url: str) -> tuple[str, str | None]:
    """Return the url as PostgreSQL's own library takes it, and the schema if it names one, of which that knows nothing.

    >>> divided("postgresql://ann@one,two/shop?schema=tasks&connect_timeout=3")
    ('postgresql://ann@one,two/shop?connect_timeout=3', 'tasks')
    >>> divided("postgresql:///shop")
    ('postgresql:///shop', None)
    """
    place, _, query = url.partition("?")
    parts = [part for part in query.split("&") if part]
    others = [part for part in parts if _name(part) != "schema"]
    schemas = [_value(part) for part in parts if _name(part) == "schema"]
    return "?".join([place, "&".join(others)]) if others else place, schemas[-1] if schemas else None


def check_schema(name: str) -> str:
    """Return the name of a schema; raises `OptionInvalid` for one that would have to be quoted, or is the server's."""
    if not _SCHEMA.fullmatch(name) or len(name) > MOST_SCHEMA or name.startswith("pg_"):
        raise OptionInvalid(
            f"bad schema {name!r}: a-z, 0-9 and _, no digit in front, up to {MOST_SCHEMA}, and not pg_..., such as duly"
        )
    return name


def shown(url: str) -> str:
    """Return a url as people may see it. Of one that is not well made rather too much is hidden than too little.

    >>> shown("postgresql://ann:s3cret@db.example.com/shop?sslmode=require")
    'postgresql://ann:***@db.example.com/shop?sslmode=require'
    """
    return _parted(url)[0]


def without_secrets(text: str, url: str) -> str:
    """Return a text, say a driver's complaint, without what is secret in a url.

    >>> without_secrets('bad port "s3cret"', "postgresql://ann:s3cret@db.example.com/shop")
    'bad port "***"'
    """
    for secret in sorted(_parted(url)[1], key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _parted(url: str) -> tuple[str, set[str]]:
    """A url without its secrets, and these, as they stand there and decoded."""
    front, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    place, question, query = rest.partition("?")
    parts = [(part, part.partition("=")) for part in query.split("&")] if question else []
    plain = _HOSTS.fullmatch(place) and all(equals for _, (_, equals, _) in parts)
    if "@" in query and not plain:  # the password has a question mark
        place, question, parts = rest, "", []
    user, at, hosts = place.rpartition("@")
    name, colon, password = user.partition(":")
    secrets = {password, *(value for _, (key, _, value) in parts if _decoded(key) in SECRET)}
    told = [f"{key}={HIDDEN}" if _decoded(key) in SECRET else part for part, (key, _, _) in parts]
    shown = f"{front}{mark}{name}{colon}{HIDDEN if password else ''}{at}{hosts}{question}{'&'.join(told)}"
    shown = _PAIR.sub(rf"\1{HIDDEN}", shown)
    return shown, {text for secret in secrets if secret for text in (secret, _decoded(secret))}


def _name(part: str) -> str:
    return _decoded(part.partition("=")[0])


def _value(part: str) -> str:
    return _decoded(part.partition("=")[2])


def _decoded(text: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415 - who keeps tasks in a file pays nothing for it

    return unquote(text)
