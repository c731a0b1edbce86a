"""The figures, in the order in which they are measured."""

from bench.figures.drain import DRAIN, DRAIN_ONE
from bench.figures.idle import IDLE
from bench.figures.kill import KILL
from bench.figures.submit import SUBMIT
from bench.figures.wake import WAKE

FIGURES = (DRAIN, DRAIN_ONE, SUBMIT, WAKE, KILL, IDLE)
