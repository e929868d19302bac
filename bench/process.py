"""Servers that run during a benchmark: started with a log file, waited for, and always stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 30
STOP_S = 25  # a worker may take 20 s to release its tasks
ROUTINE = re.compile(r'"message":"answered".*"status":2')  # access log lines, which are left out after a failure


@contextmanager
def running(
    command: list, log: Path, ready: Callable[[], bool], env=None, user=None, stop=signal.SIGTERM
) -> Iterator[subprocess.Popen]:
    """Runs `command` until the block ends. If this process is killed, the kernel signals the command (PR_SET_PDEATHSIG)."""
    # A session of its own: Ctrl-C reaches only this process, which then stops the command.
    switch = ["--reuid", user, "--regid", user, "--init-groups"] if user else []
    command = ["setpriv", *switch, "--pdeathsig", stop.name[3:], *map(str, command)]
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command, env=env, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(child, log, ready)
        yield child
    except Exception:
        lines = [line for line in log.read_text(errors="replace").splitlines() if not ROUTINE.search(line)]
        print(f"The end of the log of {log.stem}:", *lines[-20:], sep="\n", file=sys.stderr)
        raise
    finally:
        end(child, stop)


def wait_until(child: subprocess.Popen, log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.stem} did not start")
        time.sleep(0.05)


def end(child: subprocess.Popen, stop: signal.Signals) -> None:
    try:
        os.killpg(child.pid, stop)
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    except ProcessLookupError:
        child.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def reset_peak(pid: int) -> None:
    """Resets the peak memory of a process to its current memory (clear_refs in proc(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_memory_bytes(pid: int) -> int:
    """Peak memory since the start or the last `reset_peak` (VmHWM in proc(5))."""
    return status_bytes(pid, "VmHWM")


def memory_bytes(pid: int) -> int:
    """Memory that a process uses now (VmRSS in proc(5))."""
    return status_bytes(pid, "VmRSS")


def status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def cpu_s(pid: int) -> float:
    """CPU time that a process has used (utime and stime in proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
