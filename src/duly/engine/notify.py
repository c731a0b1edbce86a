"""Telling the service manager that started a worker how it stands: sd_notify, as systemd and its kin understand it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends a datagram for each thing that there is to tell, and waits for nobody; does nothing without an address.

    `interval` is how often it is to be told that the worker is well, in seconds; None: never.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.interval = _interval(environment) if self._address else None
        self._status = ""

    def ready(self) -> None:
        """Runners can be handed work."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The worker was told to stop."""
        self._tell("STOPPING=1")

    def well(self) -> None:
        """The worker's loop goes round."""
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in words how it stands; the same words are said once."""
        if text != self._status:
            self._status = text
            self._tell(f"STATUS={text}")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.sendto(text.encode(), self._address)


def _address(told: str) -> str:
    """A path, or with a leading @ a name of no file; other kinds (vsock) are not for processes of one machine."""
    if told.startswith("@"):
        return "\0" + told[1:]
    return told if told.startswith("/") else ""


def _interval(environment: Mapping[str, str]) -> float | None:
    """Half of what the service manager waits for at most, if it is this process that it means."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with suppress(ValueError):
        seconds = int(environment.get("WATCHDOG_USEC", "")) / 1e6
        return seconds / 2 if seconds > 0 else None
    return None
