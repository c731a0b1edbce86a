"""P8: nothing starts before its time, and the more urgent goes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.helpers import eventually
from tests.place import ON_BOTH


def order(place, name, **options):
    return place.app.submit(place.app.passport("shop:order", {"name": name, "log": place.log}, **options))


@ON_BOTH
def test_nothing_starts_before_its_time_and_soon_after_it(place):
    place.start()
    at = datetime.now(UTC) + timedelta(seconds=1.2)
    dated = place.app.submit(place.app.passport("shop:tell_when", run_at=at))
    delayed = place.app.submit(place.app.passport("shop:tell_when", delay=0.7))
    since = place.row(delayed).submitted
    late = [(delayed.result(timeout=30) - since) / 1e6 - 0.7, dated.result(timeout=30) / 1e6 - at.timestamp()]
    assert all(0 <= seconds < 0.5 for seconds in late), late


@ON_BOTH
def test_what_is_due_waits_for_its_worker(place):
    task = place.app.submit(place.app.passport("shop:tell_when", delay=0.05))
    assert task.refresh().state == "scheduled"
    place.start()
    task.result(timeout=30)


@ON_BOTH
def test_bands_then_first_come_first_and_the_front_before_all_of_its_band(place):
    for name, options in [
        ("low 1", {"priority": "low"}),
        ("medium 1", {}),
        ("medium 2", {}),
        ("high 1", {"priority": "high"}),
        ("low 0", {"priority": "low", "front": True}),
        ("medium 0", {"front": True}),
        ("high 2", {"priority": "high"}),
        ("medium -1", {"front": True}),
    ]:
        order(place, name, **options)
    place.start("--concurrency", "1")
    eventually(lambda: len(place.lines()) == 8)
    assert place.lines() == [
        "high 1", "high 2", "medium -1", "medium 0", "medium 1", "medium 2", "low 0", "low 1",
    ]  # fmt: skip


@ON_BOTH
def test_what_comes_urgent_overtakes_what_a_worker_has_claimed(place):
    place.start("--concurrency", "1")
    for n in range(400):
        place.app.submit(place.app.passport("shop:work", {"seconds": 0.004, "log": place.log}, priority="low"))
        if n == 50:
            eventually(place.lines)
    before = len(place.lines())
    urgent = order(place, "urgent", priority="high")
    urgent.result(timeout=30)
    place_in_line = place.lines().index("urgent")
    assert place_in_line < before + 100, f"{before} had begun, {place_in_line} came first"


@ON_BOTH
def test_a_task_in_a_queue_is_left_to_those_who_serve_it(place):
    mail = place.app.submit(place.app.passport("shop:echo", 1, queue="mail"))
    place.start("--queue", "default")
    place.app.submit("shop:echo", 2).result(timeout=30)
    assert mail.refresh().state == "ready"
    place.start("--queue", "mail")
    assert mail.result(timeout=30) == 1
