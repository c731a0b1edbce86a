"""Durable tasks: what is accepted gets done, through crashes and restarts."""

__version__ = "0.1.0"
