"""Urls of stores on a server: what they name, and that nobody is shown their passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.urls import check_schema, divided, on_server, shown, without_secrets
from duly.errors import OptionInvalid


@pytest.mark.parametrize(
    ("url", "rest", "schema"),
    [
        ("postgresql:///shop", "postgresql:///shop", None),
        ("postgresql://", "postgresql://", None),
        ("postgresql://db?schema=a", "postgresql://db", "a"),
        ("postgresql://db/shop?schema=a&sslmode=require", "postgresql://db/shop?sslmode=require", "a"),
        ("postgresql://db/shop?sslmode=require&schema=a", "postgresql://db/shop?sslmode=require", "a"),
        ("postgresql://db/shop?%73chema=a%5Fb", "postgresql://db/shop", "a_b"),
        ("postgresql://db/shop?schema=a&schema=b", "postgresql://db/shop", "b"),
        ("postgresql://db/schema=a", "postgresql://db/schema=a", None),
        (
            "postgresql://one:1,two:2/shop?target_session_attrs=read-write&schema=a",
            "postgresql://one:1,two:2/shop?target_session_attrs=read-write",
            "a",
        ),
        ("postgresql:///shop?host=/run/pg&schema=", "postgresql:///shop?host=/run/pg", ""),
    ],
)
def test_the_schema_is_taken_out_of_a_url_and_all_else_is_left_as_it_is(
    url: str, rest: str, schema: str | None
) -> None:
    assert divided(url) == (rest, schema)


@pytest.mark.parametrize("name", ["duly", "a", "_x9", "a" * 40])
def test_a_schema_has_a_plain_name(name: str) -> None:
    assert check_schema(name) == name


@pytest.mark.parametrize("name", ["", "Duly", "9a", "a-b", "a.b", 'a"; drop', "pg_duly", "a" * 41, "ä", "a\n"])
def test_a_schema_that_would_have_to_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(OptionInvalid, match="bad schema"):
        check_schema(name)


def test_only_a_postgresql_url_is_on_a_server() -> None:
    assert on_server("postgresql://x")
    assert on_server("postgres://x")
    assert not on_server("sqlite:///x")
    assert not on_server("mysql://x")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://ann:pw@db/shop", "postgresql://ann:***@db/shop"),
        ("postgresql://:pw@db/shop", "postgresql://:***@db/shop"),
        ("postgresql://ann@db:5432/shop", "postgresql://ann@db:5432/shop"),
        ("postgresql://one:1,[::1]:2/shop?user=a@b", "postgresql://one:1,[::1]:2/shop?user=a@b"),
        ("postgresql://db/shop?user=ann&password=pw&schema=a", "postgresql://db/shop?user=ann&password=***&schema=a"),
        ("postgresql://db/shop?pass%77ord=pw&sslpassword=pw", "postgresql://db/shop?pass%77ord=***&sslpassword=***"),
        ("mysql://ann:pw@db/shop", "mysql://ann:***@db/shop"),
        ("ann:pw@db/shop", "ann:***@db/shop"),
        ("host=db password=pw user=ann", "host=db password=*** user=ann"),
        ("host=db password = 'p w' user=ann", "host=db password = *** user=ann"),
        ("sqlite:////var/lib/duly.db", "sqlite:////var/lib/duly.db"),
        ("shop.db", "shop.db"),
        ("", ""),
    ],
)
def test_a_password_is_not_shown(url: str, seen: str) -> None:
    assert shown(url) == seen


@given(password=st.text("abc019@:/?#&=%., *'\"äß", max_size=12))
def test_a_password_with_signs_that_should_have_been_encoded_is_hidden_all_the_same(password: str) -> None:
    for place in ("ann:Q{}Q@db.example.com/shop", ":Q{}Q@db.example.com:5432/shop?sslmode=require"):
        assert "Q" not in shown(f"postgresql://{place.format(password)}")


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://ann:s3c%40t@db/shop", ("s3c%40t", "s3c@t")),
        ("postgresql://db/shop?password=s3c%40t", ("s3c%40t", "s3c@t")),
        ("postgresql://ann:half?whole@db/shop", ("half?whole",)),
    ],
)
def test_what_a_driver_says_is_told_without_the_password_in_any_notation(url: str, secrets: tuple[str, ...]) -> None:
    for secret in secrets:
        assert without_secrets(f"cannot use {secret!r}: bad", url) == "cannot use '***': bad"
    assert without_secrets("nothing to hide", url) == "nothing to hide"
