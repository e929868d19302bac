"""How fast the machine is just now. Virtual processors share theirs with strangers: the same loop may take twice the time
a minute later, and so does everything that is measured without a peer beside it."""

import os
import time
from multiprocessing import Pool

ROUNDS = 3_000_000


def measure() -> float:
    """Seconds that a fixed loop takes on all cores at once; the slowest of them."""
    cores = len(os.sched_getaffinity(0))
    with Pool(cores) as pool:
        return max(pool.map(loop, range(cores), chunksize=1))


def loop(_: int) -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(ROUNDS):
        total += number * number
    return time.perf_counter() - begun


def told(paces: dict[str, float]) -> str:
    each = ", ".join(f"{name} {pace:.2f}" for name, pace in paces.items())
    return f"Pace: seconds that the same loop took before each benchmark (less is faster): {each}"
