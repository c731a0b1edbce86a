"""All kinds of load and all kinds of faults at once, at random."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.mayhem import Mayhem
from tests.faults.pooler import Pooler
from tests.faults.proxy import Fate, Proxy
from tests.faults.run import Run
from tests.place import ON_BOTH, SOAK, Place
from tests.server import Server


@ON_BOTH
def test_whatever_is_asked_for_and_whatever_goes_wrong_the_promises_hold(run: Run, place: Place) -> None:
    with Mayhem(place, run) as mayhem:
        for _ in range(2):
            mayhem.mix()
        mayhem.go_on(run.count(50))
        mayhem.settle()


@pytest.mark.parametrize("way", ["direct", "pooled"] if SOAK else ["direct"])
def test_the_promises_hold_while_the_server_and_the_way_to_it_fail_too(
    run: Run, own_server: Server, tmp_path: Path, way: str
) -> None:
    """Among all else answers to commits are lost, connections cut and held up, and the server is killed."""

    def restart() -> None:
        run.dice.choice((own_server.stop, own_server.kill))()
        run.pause(0.0, 2.0)
        own_server.start()

    fates = (*[Fate.PASS] * 60, Fate.SWALLOW, Fate.TEAR)
    name = own_server.create_database()
    with Proxy(own_server) as proxy, Pooler(own_server, size=8) as pooler:
        place = Place(tmp_path, "tests.faults.shop:app", (proxy if way == "direct" else pooler).url(name))
        try:
            with Mayhem(place, run) as mayhem:
                proxy.decide(lambda _: run.dice.choice(fates))
                mayhem.may(3, own_server.end_sessions)
                mayhem.may(3, proxy.cut)
                mayhem.may(1, restart)
                for _ in range(2):
                    mayhem.mix("0.2")
                mayhem.go_on(run.count(100), (0.3, 2.0))  # what a node held that is killed waits for its lease
                proxy.decide(lambda _: Fate.PASS)
                mayhem.settle()
        finally:
            place.end()
        run.figure("answers to commits lost", proxy.hits)
