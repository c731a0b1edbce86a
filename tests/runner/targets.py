"""What the tests run in processes of its own: small callables that behave well, badly and worse."""

import asyncio
import atexit
import concurrent.futures
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import duly


def task(options):
    return {"default": options}


def echo(options):
    return options


async def async_echo(options):
    await asyncio.sleep(0)
    return options


def answer(name):
    return {
        "none": None,
        "true": True,
        "false": False,
        "success": duly.Success({"kept": 1}),
        "success-false": duly.Success(False),
        "failure": duly.Failure("no"),
        "snooze": duly.Snooze(5),
        "set": {1, 2},
        "nan": [float("nan")],
        "surrogate": "\ud800",
        "deep": nested(100),
        "object": object(),
    }[name]


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def a_generator(options):
    yield options


async def an_async_generator(options):
    yield options


def text_of(size):
    return "x" * size


def length(options):
    return len(options)


class Things:
    @staticmethod
    def static(options):
        return ["static", options]

    @classmethod
    def of_class(cls, options):
        return [cls.__name__, options]

    def method(self, options):
        return options


def stands():
    return {"pid": os.getpid(), "session": os.getsid(0), "cwd": os.getcwd(), "path": sys.path, "argv": sys.argv}


def surroundings(options):
    return {**stands(), "env": dict(os.environ)}


def open_files(options):
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


# errors


class Coded(Exception):
    def __init__(self, message, **attributes):
        super().__init__(message)
        vars(self).update(attributes)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__

    def __reduce__(self):
        raise RuntimeError("no pickle")


class OwnBase(BaseException):
    pass


class Jealous:
    def __eq__(self, other):
        raise RuntimeError("no comparing")

    __hash__ = None


def raise_value_error(options):
    raise ValueError(options)


def raise_with_cause(options):
    try:
        {}["missing"]
    except KeyError as error:
        failure = RuntimeError("the outer one")
        failure.add_note("a note beside it")
        raise failure from error


def raise_while_handling(options):
    try:
        {}["missing"]
    except KeyError:
        raise RuntimeError("the outer one")  # noqa: B904 - the context is what is shown


def raise_group(options):
    raise ExceptionGroup("several", [ValueError("first"), TypeError("second")])


def raise_named(name):
    raise {
        "keyboard": KeyboardInterrupt("pressed"),
        "generator": GeneratorExit("closed"),
        "base": OwnBase("own"),
        "stopped": duly.TaskStopped("cancel"),
        "cancelled": asyncio.CancelledError("by itself"),
        "unspeakable": Unspeakable(),
        "surrogate": ValueError("\ud800"),
        "coded": Coded("coded", code="E42", status=503, _hidden=1, answers=[1, 2], odd={1}, jealous=Jealous()),
        "big-number": Coded("big", code=2**70, number=2**70),
        "odd-code": Coded("odd", code="\ud800"),
        "large": Coded("large", small="s", big="x" * 20_000, last="l"),
        "long": ValueError("y" * 1_000_000),
        "invalid": duly.PayloadInvalid("mine"),
        "memory": MemoryError("said so"),
        "target": duly.TargetNotFound("mine too"),
    }[name]


async def raise_after_an_await(options):
    await asyncio.sleep(0)
    raise ValueError("after")


def strange_class(options):
    kind = type("Strange", (Exception,), {})
    kind.__qualname__ = "\ud800"
    kind.__module__ = None
    raise kind("strange")


def recurse(options):
    return recurse(options)


def recurse_deeply(options):
    sys.setrecursionlimit(200_000)
    return sink(60_000)


def sink(levels):
    if not levels:
        raise ValueError("at the bottom")
    return sink(levels - 1)


def raise_in_a_thread(options):
    thread = threading.Thread(target=raise_value_error, args=("in a thread",))
    thread.start()
    thread.join()
    return "went on"


def raise_in_a_late_thread(options):
    def later():
        threading.Thread(target=raise_value_error, args=("in a late thread",)).start()

    threading.Thread(target=later).start()
    return "went on"


async def raise_in_a_callback(options):
    asyncio.get_running_loop().call_soon(raise_value_error, "in a callback")
    await asyncio.sleep(0.01)
    return "went on"


def exit_in_a_thread(options):
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    return "went on"


def catch_a_stop_and_go_on(options):
    try:
        linger("stopping")
    except duly.TaskStopped as stop:
        return f"stopped for {stop.reason}"


# endings


def leave(code):
    sys.exit(code)


def leave_at_once(code):
    os._exit(code)


def abort(options):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


def crash(options):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def doom_forks(_options):
    os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGKILL))


def kill_itself(number):
    os.kill(os.getpid(), number)
    linger("a signal")


def become_another_program(options):
    os.execvp("true", ["true"])


def exit_function_is_left_alone(path):
    atexit.register(note, path, "ran")
    return "answered"


# going on for ever


def note(path, text):
    with open(path, "a") as file:
        file.write(f"{text}\n")


def linger(what, seconds=60.0):
    """Wait for what should have come long before."""
    threading.Event().wait(seconds)
    raise TimeoutError(what)


def sleep(path):
    note(path, os.getpid())
    linger("the end")


def sleep_on(path):
    """Hear that it is asked to stop, and sleep on."""
    try:
        note(path, os.getpid())
        linger("being asked")
    except duly.TaskStopped:
        note(path, "asked")
        linger("the end")


def wait_for(path):
    """Make a file, and wait until somebody takes it away."""
    note(path, "begun")
    until = time.monotonic() + 30
    while os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.005)  # noqa: TID251 - there is nothing to wait on in another process
    return "gone"


def spin(options):
    while True:
        pass


def spin_in_c(options):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    sum(range(10**13))


def ignore_everything(options):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            linger("never mind")


def swallow(options):
    while True:
        with contextlib.suppress(BaseException):
            linger("never mind")


def stop_itself(options):
    os.kill(os.getpid(), signal.SIGSTOP)


def stop_the_zygote(options):
    os.kill(os.getppid(), signal.SIGSTOP)
    linger("the end")


def kill_the_zygote(options):
    os.kill(os.getppid(), signal.SIGKILL)
    linger("the end")


async def swallow_the_cancel(options):
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def block_the_loop(options):
    linger("the end")


def clean_up(path):
    try:
        linger("stopping")
    finally:
        note(path, "cleaned up")


async def async_clean_up(path):
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        note(path, "cleaned up")


def terminated(path):
    """Miss being asked, and hear the second rung."""

    def on_term(number, frame):
        note(path, "terminated")
        os._exit(3)

    signal.signal(signal.SIGTERM, on_term)
    while True:
        with contextlib.suppress(duly.TaskStopped):
            linger("the end")


def hear_each_rung(path):
    """Write down when it is asked and when it is terminated, and go on."""

    def on_term(number, frame):
        note(path, f"terminated {time.monotonic()}")

    signal.signal(signal.SIGTERM, on_term)
    while True:
        try:
            linger("the end")
        except duly.TaskStopped:
            note(path, f"asked {time.monotonic()}")


def answer_late(options):
    try:
        linger("the limit")
    except duly.TaskStopped:
        return "too late"


def thread_that_never_ends(options):
    threading.Thread(target=linger, args=("the end",)).start()
    return "answered"


def daemon_thread_that_never_ends(options):
    threading.Thread(target=linger, args=("the end",), daemon=True).start()
    return "answered"


def thread_that_writes_late(path):
    def write():
        threading.Event().wait(0.1)
        note(path, "written")

    threading.Thread(target=write).start()
    return "answered"


def executor_left_open(options):
    executor = executor_left_open.kept = concurrent.futures.ThreadPoolExecutor(2)
    return executor.submit(echo, options).result()


# memory


def eat(size):
    """Touch this many bytes, slowly enough to be seen."""
    eaten = []
    for _ in range(size // 2**20):
        eaten.append(b"x" * 2**20)
        time.sleep(0.001)  # noqa: TID251 - memory that grows by and by
    linger("the limit")


def eat_in_a_child(size):
    code = "import sys,time; eaten = b'x' * int(sys.argv[1]); time.sleep(60)"
    subprocess.run([sys.executable, "-c", code, str(size)], check=False)


def allocate(size):
    return len(bytearray(size))


def allocate_and_keep(size):
    kept = []
    while True:
        kept.append(bytearray(size))


# processes of its own


def start(*code):
    """Start a Python process that runs this and sleeps; return its id."""
    lines = ["import os, signal, time, sys", *code, "time.sleep(60)"]
    return subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdin=subprocess.DEVNULL).pid


def leave_children(path):
    """Leave behind an ordinary child, one in a session of its own, a daemon, and one without its label."""
    note(path, start())
    note(path, start("os.setsid()", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"))
    daemon(path)
    nameless = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]}, start_new_session=True)
    note(path, nameless.pid)
    return os.getpid()


def leave_children_and_die(path):
    leave_children(path)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_children_and_spin(path):
    leave_children(path)
    ignore_everything(path)


def daemon(path):
    """Fork twice, as daemons do; return when the second one has noted its id."""
    noted, note_it = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note(path, os.getpid())
            os.close(note_it)
            time.sleep(60)  # noqa: TID251 - in a process that is to be killed
        os._exit(0)
    os.close(note_it)
    os.read(noted, 1)
    os.close(noted)
    os.wait()


def breed(path):
    """Fork on and on in sessions of their own, up to 256 processes."""
    for _ in range(8):
        if os.fork() == 0:
            os.setsid()
    note(path, os.getpid())
    time.sleep(60)  # noqa: TID251 - in processes that are to be killed


def run_away(path):
    """Be a process that dies at once but for a child that goes on: never the same id twice."""
    if os.fork() == 0:
        os.setsid()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if os.fork():
                os._exit(0)
            os.setsid()
            with open(path, "w") as file:
                file.write(str(os.getpid()))
        os._exit(0)
    os.wait()
    linger("the limit")


def return_twice(options):
    """Return in the parent and in a forked child."""
    child = os.fork()
    if child == 0:
        return "the child's"
    os.waitpid(child, 0)
    return "the parent's"


def raise_in_a_fork(options):
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    os.waitpid(child, 0)
    return "the parent's"


def perform_within(options):
    return list(duly.perform(os.path.abspath(__file__) + ":echo", options))


def perform_within_for_ever(path):
    duly.perform(os.path.abspath(__file__) + ":leave_children_and_spin", path)


# output and descriptors


def say(options):
    print("to stdout")  # noqa: T201 - it is what is tested
    print("to stderr", file=sys.stderr)  # noqa: T201
    subprocess.run(["echo", "from a child"], check=True)
    return "said"


def flood(lines):
    for _ in range(lines):
        sys.stdout.write("x" * 99 + "\n")
    return "said"


def close_standard_files(options):
    for fd in range(3):
        os.close(fd)
    return "answered"


def close_standard_streams(options):
    sys.stdout.close()
    sys.stderr.close()
    return "answered"


def replace_standard_streams(options):
    class Broken:
        def write(self, text):
            raise RuntimeError("broken")

        flush = close = write

    sys.stdout = sys.stderr = Broken()
    return "answered"


def be_silent(path):
    """Close each descriptor but the channel's, as daemons do, and go on."""
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if "pipe:" in os.readlink(f"/proc/self/fd/{fd}"):
                os.close(int(fd))
    note(path, os.getpid())
    linger("the end")


def close_all_files(options):
    os.closerange(0, 100)
    return "answered"


def write_everywhere(options):
    """Send what is no message to every descriptor there is."""
    send_everywhere("\x93garbage")


def send_everywhere(text):
    for fd in range(3, 100):
        with contextlib.suppress(OSError):
            os.write(fd, text.encode("latin-1"))
    linger("the end")


def take_all_files(options):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    take_all_files.taken = taken
    return "x" * options


def take_more_than_all_files(options):
    take_all_files(10)
    try:
        os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        error.add_note("x" * options)
        error.data = "x" * (15 * 1024)
        raise


async def async_take_all_files(options):
    return take_all_files(options)


def leave_files_open(options):
    leave_files_open.left = [os.open(os.devnull, os.O_RDONLY) for _ in range(options)]


def lower_the_memory_limit(options):
    resource.setrlimit(resource.RLIMIT_DATA, (2**28, 2**28))
    return "answered"


def read_stdin(options):
    return sys.stdin.read()
