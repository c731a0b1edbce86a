"""Servers, databases and rights that will not do: each is told by an error that says what to do, and harms nothing."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

import duly
from duly.core.keeping import Keep
from duly.core.outcome import Success
from duly.core.task import State
from duly.errors import (
    DulyError,
    InvalidInput,
    OptionInvalid,
    StoreAway,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
)
from duly.ports import CancelAsked, Filter, Request
from duly.store import migrations
from duly.store.postgres import session
from duly.store.postgres.address import address_of
from duly.store.postgres.connection import Server as Told
from duly.store.postgres.connection import connect, refuse
from duly.store.postgres.schema import applied, look, migrate
from duly.store.postgres.store import PostgresStore
from duly.testing.store_hands import LARGE, Hands, ended
from tests.helpers import eventually
from tests.server import Databases, Server, free_port

DOCS = Path(__file__).parents[2] / "docs" / "postgresql.md"
SOUND = Told(1, 170_000, "17.0", "UTF8", fsync=True, commit="on", standby=False, read_only=False)

Open = Callable[..., PostgresStore]


@pytest.fixture
def opened(database: str, use: Open) -> Open:
    """Opens a store: that of the test, if nothing else is said."""
    return lambda url=database, schema="duly", **more: use(PostgresStore(url, schema, **more))


@pytest.fixture
def run(database: str) -> Callable[[str], None]:
    """Executes statements in the test's database, as an administrator."""

    def run_it(statements: str) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(statements.encode())

    return run_it


@pytest.fixture
def role(server: Databases, run: Callable[[str], None], database: str) -> Iterator[Callable[[str], str]]:
    """Makes a role without rights, and returns the url by which it connects to the test's database."""
    made: list[str] = []

    def make(name: str) -> str:
        server.run(f"drop role if exists {name}")
        server.run(f"create role {name} login password 'secret'")
        made.append(name)
        there = urlsplit(database)
        return there._replace(netloc=f"{name}:secret@{there.netloc.rpartition('@')[2]}").geturl()

    yield make
    for name in made:
        run(f"drop owned by {name} cascade")
        server.run(f"drop role {name}")


# connecting
def test_what_is_no_url_is_told_without_its_password() -> None:
    with pytest.raises(OptionInvalid, match="nonsense") as caught:
        PostgresStore("postgresql://ann:s3cret@localhost/shop?nonsense=1")
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there_is_told_to_be_away() -> None:
    store = PostgresStore(f"postgresql://ann:s3cret@127.0.0.1:{free_port()}/shop")
    store.patience = 0.2
    with pytest.raises(StoreAway, match=r"ann:\*\*\*@127.*refused.*check the url") as caught:
        store.open()
    assert "s3cret" not in str(caught.value)
    assert "?" not in str(caught.value), "an error asks no questions"


@pytest.mark.parametrize("wrong", ["password", "user", "database"])
def test_who_may_not_enter_is_told_at_once(wrong: str, server: Databases, role: Callable[[str], str]) -> None:
    url = role("duly_test_enters")
    url = url.replace(":secret@", ":wrong@") if wrong == "password" else url
    url = url.replace("duly_test_enters", "duly_test_nobody") if wrong == "user" else url
    url = f"{server.url('nowhere')}" if wrong == "database" else url
    store = PostgresStore(url)
    cures = {"password": "pg_hba.conf", "user": "pg_hba.conf", "database": "create it"}
    with pytest.raises(StoreUnavailable, match=rf"(password auth|does not exist).*{cures[wrong]}") as caught:
        store.open()
    assert not isinstance(caught.value, StoreAway), "what will never do was waited for"


def test_who_finds_too_many_connections_waits_for_one(server: Databases, role: Callable[[str], str]) -> None:
    url = role("duly_test_many")
    server.run("alter role duly_test_many connection limit 0")
    store = PostgresStore(url)
    store.patience = 0.2
    with pytest.raises(StoreAway, match=r"too many connections.*max_connections"):
        store.open()


@pytest.mark.parametrize(
    ("told", "error", "says"),
    [
        (SOUND._replace(version=130_004, name="13.4"), StoreUnavailable, "13.4 is too old.*14 or newer"),
        (SOUND._replace(encoding="LATIN1"), StoreUnavailable, "LATIN1.*encoding 'UTF8'"),
        (SOUND._replace(standby=True), StoreReadOnly, "is a standby.*name the primary"),
        (SOUND._replace(read_only=True), StoreReadOnly, "default_transaction_read_only"),
        (SOUND._replace(fsync=False), StoreUnavailable, "fsync = off.*allow_unsafe"),
        (SOUND._replace(commit="off"), StoreUnavailable, "synchronous_commit = off.*allow_unsafe"),
    ],
)
def test_a_server_that_cannot_keep_promises_is_refused(told: Told, error: type[DulyError], says: str) -> None:
    address = address_of("postgresql:///shop", "duly")
    refuse(SOUND, address)
    with pytest.raises(error, match=says):
        refuse(told, address)


def test_settings_of_a_real_server_are_read(own_server: Server, server: Databases, database: str, opened: Open) -> None:
    own_server.configure(fsync="off")
    with pytest.raises(StoreUnavailable, match="fsync = off"):
        opened(own_server.url())
    opened(own_server.url(), allow_unsafe=True)
    name = urlsplit(database).path[1:]
    server.run(f"alter database {name} set synchronous_commit = off")
    with pytest.raises(StoreUnavailable, match="synchronous_commit = off"):
        opened()
    server.run(f"alter database {name} reset synchronous_commit")
    server.run(f"alter database {name} set default_transaction_read_only = on")
    with pytest.raises(StoreReadOnly, match="may only be read"):
        opened()


def test_a_database_of_another_encoding_is_refused(server: Databases, opened: Open) -> None:
    server.run("create database duly_latin encoding 'LATIN1' locale 'C' template template0")
    try:
        with pytest.raises(StoreUnavailable, match="LATIN1"):
            opened(server.url("duly_latin"))
    finally:
        server.drop_database("duly_latin")


def test_a_role_whose_transactions_are_isolated_otherwise_is_refused(
    role: Callable[[str], str], run: Callable[[str], None], opened: Open
) -> None:
    url = role("duly_test_isolated")
    run("alter role duly_test_isolated set default_transaction_isolation = 'repeatable read'")
    with pytest.raises(StoreUnavailable, match=r"= repeatable read.*alter role"):
        opened(url)


# the schema
@pytest.mark.parametrize("table", ["invoice (id int)", "migration (id int, app text)"])
def test_a_schema_of_another_program_is_refused_and_left_alone(
    table: str, run: Callable[[str], None], opened: Open, server: Databases, database: str
) -> None:
    run(f"create schema duly; create table duly.{table}")
    with pytest.raises(StoreForeign, match=r"another program's.*schema="):
        opened()
    query = "select count(*) from pg_class where relnamespace = 'duly'::regnamespace"
    assert server.run(query, database=urlsplit(database).path[1:]) == [(1,)]
    assert opened(schema="other").nodes() == []


def test_a_schema_that_somebody_makes_just_now_is_not_taken_for_another_programs(database: str, opened: Open) -> None:
    address = address_of(database, "duly")
    with closing(connect(address)) as connection:
        execute, made = connection.execute, list[PostgresStore]()

        def slowly(*given: Any) -> Any:
            found = execute(*given)
            if not made:
                made.append(opened())
            return found

        connection.execute = slowly  # type: ignore[method-assign]
        assert applied(connection, address) == []
        assert len(applied(connection, address)) == len(migrations.load(session.PACKAGE))


def test_a_schema_that_was_renamed_is_refused(run: Callable[[str], None], opened: Open) -> None:
    """Its functions would store tasks in the one that has its name now."""
    opened()
    run("alter schema duly rename to old")
    with pytest.raises(StoreForeign, match=r'was named duly .*alter schema "old" rename to "duly"'):
        opened(schema="old")
    opened()


def test_a_step_of_the_schema_waits_for_nobody_for_long(database: str) -> None:
    """Whoever wants a table that it waits for waits behind it; and it may be cut off."""
    settings = "current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle"
    step = migrations.Migration(9998, "expand", "look", f"create table {{schema}}.found as select {settings}")
    address = address_of(database, "duly")
    with closing(connect(address)) as connection:
        migrate(connection, address, [*migrations.load(session.PACKAGE), step])
        assert connection.execute("select * from duly.found").fetchall() == [("8s", "10s")]


def test_a_schema_that_is_empty_is_used(run: Callable[[str], None], opened: Open) -> None:
    run("create schema duly")
    assert opened().nodes() == []


def test_a_newer_contract_is_refused_and_a_newer_expansion_is_not(run: Callable[[str], None], opened: Open) -> None:
    opened()
    run("insert into duly.migration values (9998, 'expand', 'more', 0)")
    assert opened().nodes() == []
    run("insert into duly.migration values (9999, 'contract', 'less', 0)")
    with pytest.raises(StoreTooNew, match="9999_less"):
        opened()


def test_a_table_that_is_gone_is_told(run: Callable[[str], None], opened: Open) -> None:
    store = opened()
    run("drop table duly.node cascade")
    with pytest.raises(StoreDamaged, match="restore a backup"):
        store.nodes()


# rights
def test_who_may_not_make_the_schema_is_told(role: Callable[[str], str], opened: Open) -> None:
    with pytest.raises(StoreReadOnly, match=r"permission denied.*`duly migrate`.*docs/postgresql\.md"):
        opened(role("duly_test_maker"))


def test_who_may_not_look_into_the_schema_is_told(role: Callable[[str], str], opened: Open) -> None:
    opened()
    url = role("duly_test_stranger")
    told = r"permission denied for schema duly; grant this role what docs/postgresql\.md says$"
    with pytest.raises(StoreReadOnly, match=told):
        opened(url)
    with pytest.raises(StoreReadOnly, match=told):
        look(address_of(url, "duly"), allow_unsafe=False)


def test_who_may_not_take_a_step_of_the_schema_is_told_who_may(
    role: Callable[[str], str], run: Callable[[str], None], opened: Open
) -> None:
    opened()
    url = role("duly_worker")
    for right in ("usage on schema duly", "select, insert, update, delete on all tables in schema duly"):
        run(f"grant {right} to duly_worker")
    run("delete from duly.migration where number = (select max(number) from duly.migration)")
    with pytest.raises(StoreReadOnly, match=r"wants step 00.*have the schema's owner run `duly migrate`$"):
        opened(url)


def test_what_a_role_may_not_see_is_not_told_to_be_well(
    role: Callable[[str], str], run: Callable[[str], None], opened: Open
) -> None:
    opened()
    url = role("duly_reader")
    run("grant usage on schema duly to duly_reader; grant select on all tables in schema duly to duly_reader")

    def told() -> str:
        (finding,) = (finding for finding in opened(url).examine() if finding.what == "snapshots")
        return finding.text

    assert "grant pg_read_all_stats to this role" in told()
    run("grant pg_read_all_stats to duly_reader")
    assert told().startswith("the oldest is ")


def test_roles_may_do_what_the_handbook_says(
    role: Callable[[str], str], run: Callable[[str], None], opened: Open
) -> None:
    hands = Hands(opened())
    urls = {name: role(f"duly_{name}") for name in ("worker", "submitter", "reader")}
    for block in re.findall(r"```sql\n(-- as duly_owner.*?)```", DOCS.read_text(), re.DOTALL):
        run(block)
    known = hands.submit()
    hands.enlist()
    for url in urls.values():
        with duly.App(url) as app:
            assert [lives for _, lives in app.nodes()] == [True]
            assert app.stats()
            assert app.examine()

    submitter = Hands(_known_lanes(opened(urls["submitter"])))
    mine, large = submitter.submit(), submitter.submit(payload=LARGE)
    assert submitter.store.exchange(Request(submits=[submitter.submission(mine)])).submitted == {mine: "existing"}
    assert submitter.seen(known) == (State.READY, 0)
    with pytest.raises(StoreReadOnly):
        submitter.cancel(mine)

    worker = Hands(opened(urls["worker"]))
    claims = worker.claim(2)
    assert {held.id for held in claims} == {known, mine}
    for held in claims:
        worker.finish(held)
    assert worker.cancel(large) == "cancelled"
    worker.store.keeping([("test:check", 1, Keep(0, 0))])
    assert worker.store.tidy()
    assert worker.store.submitted() >= 3
    with psycopg.connect(urls["worker"]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("insert into duly.migration values (2, 'contract', 'no', 0)")

    reader = opened(urls["reader"])
    assert len(reader.tasks(Filter(), "newest", None, 10)) == 3
    assert reader.submitted() >= 3
    assert len(reader.events(mine, 0, 10)) == 1
    with pytest.raises(StoreReadOnly):
        reader.exchange(Request(cancels=[CancelAsked(mine, "")]))


def _known_lanes(store: PostgresStore) -> PostgresStore:
    store.lanes([("other", "test:check", 1)])
    return store


# using it
def test_what_cannot_be_kept_fails_its_request_alone(opened: Open) -> None:
    hands = Hands(opened())
    with pytest.raises(InvalidInput, match="cannot keep") as caught:
        hands.store.exchange(Request(submits=[hands.submission(origin="a\0b")]))
    assert not isinstance(caught.value, StoreError), "as trouble of the store it would be that of others, too"
    assert hands.submit() in {held.id for held in hands.claim()}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("54000", InvalidInput),
        ("53200", StoreBusy),
        ("53100", StoreFull),
        ("57P01", StoreAway),
        ("08006", StoreAway),
        ("25P04", StoreAway),
        ("58030", StoreError),
        ("55000", StoreError),
    ],
)
def test_what_a_server_refuses_is_not_told_as_if_it_were_away(
    code: str, error: type[DulyError], run: Callable[[str], None], opened: Open
) -> None:
    hands = Hands(opened())
    hands.submit()
    hands.store.patience = 0.2
    run(
        "create function duly.no() returns trigger language plpgsql as "
        f"$$ begin raise exception 'not this one' using errcode = '{code}'; end $$;"
        "create trigger no before insert on duly.task for each row execute function duly.no()"
    )
    with pytest.raises(error, match="not this one") as caught:
        hands.submit()
    assert type(caught.value) is error


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=ascii)
def test_what_cannot_be_sent_costs_nobody_the_connection(
    server: Databases, database: str, opened: Open, text: str
) -> None:
    hands = Hands(opened())
    before = sessions(server, database)
    for ask in (
        lambda: hands.store.find([text]),
        lambda: hands.store.pause("queue", text),
        lambda: hands.store.exchange(Request(retries=[text])),
        lambda: hands.store.exchange(Request(submits=[hands.submission(origin=text)])),
    ):
        with pytest.raises(InvalidInput, match="cannot keep"):
            ask()
    assert sessions(server, database) == before


def sessions(server: Databases, database: str) -> set[int]:
    named = urlsplit(database).path[1:]
    return {pid for (pid,) in server.run("select pid from pg_stat_activity where datname = %s", named)}


def test_a_server_that_restarts_is_waited_for(own_server: Server, opened: Open) -> None:
    hands = Hands(opened(own_server.url()))
    task_id = hands.submit()
    held = hands.claim_one()
    own_server.stop()
    hands.store.patience = 0.2
    with pytest.raises(StoreAway):
        hands.finish(held)
    own_server.start()
    hands.store.patience = 10.0
    assert hands.finish(held).misses == []
    own_server.kill()
    own_server.start()
    assert hands.told(task_id) == ["success"]


def test_a_session_that_is_ended_is_made_anew(server: Databases, database: str, opened: Open) -> None:
    hands = Hands(opened())
    task_id = hands.submit()
    for _ in range(3):
        server.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", urlsplit(database).path[1:]
        )
        assert hands.seen(task_id) == (State.READY, 0)


def test_a_pooler_that_is_not_known_as_one_is_done_without_prepared_queries(opened: Open) -> None:
    """Whose sessions forget what was prepared, as it was in another one."""
    hands = Hands(opened())
    task_id = hands.submit()
    for _ in range(3):
        assert hands.store._connection is not None
        hands.store._connection.execute("deallocate all")
        assert hands.exchange(changes=[], wants=[]).done
        assert hands.seen(task_id) == (State.READY, 0)
    assert hands.store._connection.pooled


def test_the_time_is_not_behind_by_what_a_transaction_took(database: str, opened: Open) -> None:
    """What begins after a task was stored would be told as begun before."""
    store = opened()
    hands = Hands(store)
    hands.submit()
    with psycopg.connect(database) as other, ThreadPoolExecutor() as pool:
        other.execute("lock table duly.task")
        submitted = pool.submit(hands.submit)
        eventually(lambda: waits_for_lock(database))
        threading.Event().wait(0.3)
        other.rollback()
        submitted.result(30)
        ((told,),) = other.execute("select duly.clock()").fetchall()
    assert store.now() >= told


def waits_for_lock(database: str) -> bool:
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute("select from pg_locks where not granted").rowcount > 0


@pytest.mark.parametrize("what", ["submit", "pause", "enlist", "tidy"])
def test_what_others_hold_is_waited_for_no_longer_than_said(what: str, database: str, opened: Open) -> None:
    """One who waits without bound keeps a process's one connection from all others."""
    hands = Hands(opened())
    hands.submit()
    hands.store.patience = 0.2
    with psycopg.connect(database) as other:
        other.execute("lock table duly.task, duly.pause, duly.node, duly.keeper in share row exclusive mode")
        with pytest.raises(StoreBusy, match="have held"):
            {
                "submit": hands.submit,
                "pause": lambda: hands.store.pause("queue", "mail"),
                "enlist": lambda: hands.store.enlist("", "", ""),
                "tidy": hands.store.tidy,
            }[what]()
        other.rollback()
    assert hands.submit() in {held.id for held in hands.claim()}


def test_a_node_waits_for_what_others_hold_a_part_of_its_lease_alone(database: str, opened: Open) -> None:
    hands = Hands(opened(lease=1.2))
    lane = hands.lane
    hands.enlist()
    with psycopg.connect(database) as other:
        other.execute("lock table duly.task in share row exclusive mode")
        begun = time.monotonic()
        with pytest.raises(StoreBusy, match="have held"):
            hands.submit(lane=lane)
        assert time.monotonic() - begun < 1.2


@pytest.mark.parametrize("what", ["payload", "value"])
def test_a_large_text_that_a_killed_server_has_forgotten_is_written_again(
    what: str, database: str, opened: Open
) -> None:
    """Its pieces go first, and wait for no disk: only the row that names them does."""
    store = opened()
    hands = Hands(store)
    task_id = hands.submit()
    (held,) = hands.claim(1)
    with psycopg.connect(database) as other, ThreadPoolExecutor() as pool:
        other.execute("lock table duly.task")
        if what == "payload":
            task_id = "large"
            done = pool.submit(hands.submit, task_id, payload=LARGE)
        else:
            done = pool.submit(hands.finish, held, Success(LARGE))
        eventually(lambda: waits_for_lock(database))
        with psycopg.connect(database, autocommit=True) as server:
            ((first,),) = server.execute("select min(number) from duly.chunk").fetchall()
            server.execute("delete from duly.loose; delete from duly.chunk")
            server.execute(f"alter table duly.chunk alter number restart {first}".encode())
        opened()._keep_apart(LARGE[::-1])  # it gets the same numbers, if it is the server that gives them
        other.rollback()
        done.result(30)
    (row,) = store.find([task_id])
    assert store.large(row.key, "payload" if what == "payload" else "value") == LARGE


def test_a_node_that_was_silent_for_too_long_is_refused_from_then_on(run: Callable[[str], None], opened: Open) -> None:
    hands = Hands(opened())
    task_id = hands.submit()
    (held,) = hands.claim(1)
    run("update duly.node set seen = 0")
    assert [node.number for node in opened().dead()] == [hands.node]
    reply = hands.store.exchange(Request(node=hands.node, number=hands.number + 1, changes=[ended(held)]))
    assert not reply.done
    assert (hands.told(task_id), hands.store.find([task_id])[0].state) == ([], State.RUNNING)


@pytest.mark.parametrize("rest", [0.0, 1e9], ids=["with a ring", "without"])
def test_what_is_refused_at_the_commit_is_told_to_be_refused(
    rest: float, run: Callable[[str], None], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.store.postgres.ringer.REST_SECONDS", rest)
    hands = Hands(opened())
    hands.submit()
    run(
        "create function duly.no() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$;"
        "create constraint trigger no after insert on duly.task deferrable initially deferred "
        "for each row execute function duly.no()"
    )
    for task_id in ("refused", "too"):
        with pytest.raises(StoreError, match="not this one"):
            hands.submit(task_id)
    assert hands.store.find(["refused", "too"]) == []
    run("drop function duly.no cascade")
    hands.submit("refused")


def test_what_a_deadlock_has_undone_is_not_taken_for_done(run: Callable[[str], None], opened: Open) -> None:
    hands = Hands(opened())
    task_id = hands.submit()
    assert hands.cancel(task_id) == "cancelled"
    run(
        "create sequence duly.tries; create function duly.once() returns trigger language plpgsql as $$ begin "
        "if nextval('duly.tries') = 1 then raise exception using errcode = '40P01', message = 'deadlock'; end if; "
        "return null; end $$; "
        "create trigger once before update on duly.task for each statement execute function duly.once()"
    )
    assert hands.cancel(task_id) == "ended"


def test_a_piece_that_was_named_meanwhile_is_kept(database: str, opened: Open) -> None:
    """Whoever names it had stood still for so long that it was taken for nobody's."""
    hands = Hands(opened())
    task_id = hands.submit(payload=LARGE)
    with psycopg.connect(database) as connection:
        pieces = [number for (number,) in connection.execute("select number from duly.chunk")]
    assert pieces
    hands.store.drop_chunks(pieces)
    (row,) = hands.store.find([task_id])
    assert hands.store.large(row.key, "payload") == LARGE
