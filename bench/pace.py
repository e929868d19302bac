"""How fast the machine is just now. Virtual processors share theirs with strangers: the same loop may take twice the time
a minute later, and so does everything that is measured without a peer beside it."""

import os
import subprocess
import sys
import time

ROUNDS = 3_000_000


def measure() -> float:
    """Seconds that a fixed loop takes on all cores at once; the slowest of them."""
    # Programs of their own: a fork of this process, which has threads, may wait for ever for a lock that one of them held.
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


def told(paces: dict[str, float]) -> str:
    each = ", ".join(f"{name} {pace:.2f}" for name, pace in paces.items())
    return f"Pace: seconds that the same loop took before each benchmark (less is faster): {each}"


if __name__ == "__main__":
    print(loop())
