"""The current speed of the machine. Virtual CPUs are shared with other machines, so that the same loop may take twice as
long a minute later. Numbers without a peer must be read with this in mind."""

import os
import subprocess
import sys
import time

ROUNDS = 3_000_000


def measure() -> float:
    """Runs a fixed loop on all cores at once and returns the seconds of the slowest."""
    # New processes, not forks: a fork of a process with threads may deadlock on a lock that another thread held.
    cores = len(os.sched_getaffinity(0))
    command = [sys.executable, __file__]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(cores)]
    return max(float(loop.communicate()[0]) for loop in loops)


def loop() -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(ROUNDS):
        total += number * number
    return time.perf_counter() - begun


def summary(paces: dict[str, float]) -> str:
    each = ", ".join(f"{name} {pace:.2f}" for name, pace in paces.items())
    return f"Pace: seconds of a fixed loop before each benchmark (lower is faster): {each}"


if __name__ == "__main__":
    print(loop())
