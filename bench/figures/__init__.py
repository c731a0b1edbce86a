"""The figures, in the order in which they are measured."""

from bench.figures.deep import DEEP
from bench.figures.drain import DRAIN, DRAIN_ONE
from bench.figures.idle import IDLE
from bench.figures.isolation import FRESH, SHARED
from bench.figures.kill import KILL
from bench.figures.large import LARGE
from bench.figures.neighbour import NEIGHBOUR
from bench.figures.pg_deep import PG_DEEP, PG_SNAPSHOT
from bench.figures.pg_drain import PG_DRAIN, PG_NODES
from bench.figures.pg_submit import PG_SUBMIT, PG_SUBMIT_MANY, PG_SUBMIT_THREADS
from bench.figures.pg_wake import PG_WAKE
from bench.figures.result import RESULT
from bench.figures.start import START
from bench.figures.submit import SUBMIT, SUBMIT_LOOP, SUBMIT_MANY, SUBMIT_THREADS
from bench.figures.wake import WAKE
from bench.figures.watch import WATCH

FIGURES = (
    DRAIN,
    DRAIN_ONE,
    DEEP,
    FRESH,
    SHARED,
    SUBMIT,
    SUBMIT_THREADS,
    SUBMIT_LOOP,
    SUBMIT_MANY,
    NEIGHBOUR,
    WAKE,
    RESULT,
    LARGE,
    WATCH,
    KILL,
    IDLE,
    START,
    PG_DRAIN,
    PG_SUBMIT,
    PG_SUBMIT_THREADS,
    PG_SUBMIT_MANY,
    PG_WAKE,
    PG_DEEP,
    PG_SNAPSHOT,
    PG_NODES,
)
