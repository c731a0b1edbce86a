from __future__ import annotations

import pytest

from duly.core.action import ActionSpec, Policy
from duly.engine.roster import Roster
from duly.ports import Lane, Pause
from duly.wire.runner import Target

SEND = ActionSpec(name="mail:send", policy=Policy(timeout=5.0))
SEND_2 = ActionSpec(name="mail:send", version=2, queue="slow")
PACK = ActionSpec(name="box:pack", queue="slow")
LANES = [
    Lane(1, "default", "mail:send", 1),
    Lane(2, "slow", "mail:send", 2),
    Lane(3, "slow", "box:pack", 1),
    Lane(4, "night", "mail:send", 1),
    Lane(5, "default", "other:thing", 1),
    Lane(6, "default", "mail:send", 3),
]


def roster(queues: list[str] | None = None) -> Roster:
    made = Roster([(action, Target(module="m")) for action in (SEND, SEND_2, PACK)], queues)
    made.set_lanes(LANES)
    return made


def lanes(queues: list[str] | None = None) -> list[int]:
    return roster(queues).lanes(shared=False)


def test_it_serves_its_actions_in_their_versions_from_all_queues() -> None:
    assert lanes() == [1, 2, 3, 4]


def test_told_which_queues_it_serves_no_other() -> None:
    assert lanes(["slow"]) == [2, 3]
    assert roster(["slow"]).declared() == [("slow", "mail:send", 2), ("slow", "box:pack", 1)]
    assert lanes([]) == []


def test_it_declares_the_lanes_that_its_actions_have_before_any_task() -> None:
    assert roster().declared() == [("default", "mail:send", 1), ("slow", "mail:send", 2), ("slow", "box:pack", 1)]


def test_an_action_whose_target_is_lost_is_served_no_longer_in_none_of_its_queues() -> None:
    made = roster()
    made.lose(0)
    assert made.lanes(shared=False) == [2, 3]
    made.set_lanes(LANES)
    assert made.lanes(shared=False) == [2, 3], "new lanes do not bring it back"


def test_a_lane_tells_its_action_and_what_bounds_its_attempts() -> None:
    made = roster()
    assert (made.served(4)[0], made.served(3)[0]) == (0, 2)
    assert made.policy(4).timeout == 5.0
    assert made.policy(5) == Policy(), "of a lane served elsewhere only the defaults are known"


def test_of_what_is_paused_by_queue_or_action_nothing_is_asked_for_but_cleanup() -> None:
    made = roster()
    made.set_lanes(LANES, [Pause("queue", "night", 1), Pause("action", "box:pack", 2), Pause("queue", "unheard-of", 3)])
    assert made.lanes(shared=False) == [1, 2]
    assert made.lanes(shared=False, paused=True) == [3, 4]
    assert made.paused == {3, 4}
    made.lose(2)
    assert made.lanes(shared=False, paused=True) == [4], "what cannot be run cannot be cleaned up"
    made.set_lanes([*LANES, Lane(7, "night", "mail:send", 2)], [Pause("queue", "night", 1)])
    assert made.lanes(shared=False, paused=True) == [4, 7], "a lane that comes later is paused, too"
    made.set_lanes(LANES)
    assert (made.lanes(shared=False), made.paused) == ([1, 2, 4], frozenset())


@pytest.mark.parametrize(("place", "title"), [(0, "mail:send"), (1, "mail:send v2")])
def test_a_title_names_the_version_if_that_is_not_the_first(place: int, title: str) -> None:
    assert roster().title(place) == title
