"""Load at a fixed rate in an open loop: a request is due at its time, also when earlier ones have not been answered, and its
latency counts from then. Closed loops send less to a slow server and so do not see the waiting (coordinated omission)."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any


def latencies_ms(connect: Callable[[], Callable[[Any], None]], requests: list, *, connections: int, rate=None, limit_s=120.0):
    """Sends the requests over some connections, `rate` per second, or, without a rate, each after the reply to the previous
    one. `connect` opens a connection and returns the function that sends a request and waits for its reply.

    Returns the latency of each request. With a rate, those that are not sent within `limit_s` count with the time that they
    have waited until then; without one, they are left out.
    """
    numbers, latencies, errors = itertools.count(), {}, []
    begun = time.perf_counter() + 0.1 * connections

    def work() -> None:
        try:
            send = connect()
            # `next` of a count is atomic.
            for number in iter(lambda: next(numbers), None):
                if number >= len(requests) or errors:
                    return
                due = begun + number / rate if rate else time.perf_counter()
                time.sleep(max(0.0, due - time.perf_counter()))
                if time.perf_counter() - begun > limit_s:
                    if rate:
                        latencies[number] = (time.perf_counter() - due) * 1000
                    continue
                send(requests[number])
                latencies[number] = (time.perf_counter() - due) * 1000
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [latencies[number] for number in sorted(latencies)]
