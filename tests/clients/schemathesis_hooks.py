"""The media type of tus, bytes as they are; and a parser of Python that works with several workers."""

import ast
import threading

import schemathesis

parse, turn = ast.parse, threading.RLock()


def parse_in_turn(*arguments, **options):
    """Parses without other threads: CPython 3.11 counts the recursion of all together (gh-106905)."""
    with turn:
        return parse(*arguments, **options)


ast.parse = parse_in_turn


@schemathesis.serializer("application/offset+octet-stream")
def octets(ctx, value):
    """Sends bytes, and the text of anything else."""
    return value if isinstance(value, bytes) else str(value).encode()
