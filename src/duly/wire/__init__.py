"""Protocols without I/O: the messages of each wire, to bytes and back."""
