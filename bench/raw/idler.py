"""A tree of processes as idle as a node's, of nothing but the interpreter and SQLite: STORE.

One looks whether the store has changed, each second; its child, started by exec, has forked two that wait for messages.
They end when the first one does, however that ends.
"""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys

import apsw

TEMPLATE = """
import os, socket, sys
control = socket.socket(fileno=int(sys.argv[1]))
for _ in range(2):
    if os.fork() == 0:
        control.recv(1)
        os._exit(0)
control.recv(1)
for _ in range(2):
    os.wait()
"""

if __name__ == "__main__":
    connection = apsw.Connection(sys.argv[1])
    connection.execute("pragma journal_mode = wal").fetchall()
    control, theirs = socket.socketpair()
    stop, stopped = socket.socketpair()
    stopped.setblocking(False)
    signal.set_wakeup_fd(stopped.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    fd = theirs.fileno()
    with subprocess.Popen([sys.executable, "-c", TEMPLATE, str(fd)], pass_fds=[fd], stdin=subprocess.DEVNULL):
        theirs.close()
        while not select.select([stop], [], [], 1.0)[0]:
            connection.execute("pragma data_version").fetchall()
        control.close()
    connection.close()
