from typing import get_args

import msgspec
import pytest

from duly.core import outcome
from duly.core.outcome import Failure, NoSuccess, Outcome, Snooze, Success

KINDS = get_args(Outcome)


def test_the_union_holds_each_kind_of_outcome_once():
    defined = {
        kind
        for kind in vars(outcome).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == outcome.__name__
    }
    assert set(KINDS) == defined - {Snooze}, "a Snooze is what a handler returns; Snoozed is what that comes to"
    assert len(KINDS) == 11
    assert set(get_args(NoSuccess)) == set(KINDS) - {Success}


@pytest.mark.parametrize("kind", KINDS)
def test_an_outcome_cannot_be_changed(kind):
    assert kind.__struct_config__.frozen


def test_an_answer_may_be_empty_and_a_no_is_tried_again_unless_said():
    assert Success() == Success(None)
    assert Failure() == Failure(None, retry=True)
