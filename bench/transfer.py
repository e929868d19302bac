"""Sends a file in one HTTP request with sendfile(2), so that the sender is not the bottleneck."""

import socket
import time
from pathlib import Path


def send_file(port: int, head: dict[str, str], request: str, file: Path, before=b"", after=b"") -> tuple[float, bytes]:
    """Sends `before`, the file and `after` as one body. Returns the seconds until the end of the reply, and its body."""
    length = len(before) + file.stat().st_size + len(after)
    head = {"Host": f"127.0.0.1:{port}", "Content-Length": str(length), "Connection": "close"} | head
    lines = [f"{request} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    with open(file, "rb") as source, socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        begun = time.perf_counter()
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + before)
        connection.sendfile(source)
        connection.sendall(after)
        reply = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        took = time.perf_counter() - begun
    answer, _, body = reply.partition(b"\r\n\r\n")
    status = answer.split(b" ")[1]
    if status not in (b"200", b"201", b"204"):
        raise RuntimeError(f"{request} was answered with {reply[:2000].decode(errors='replace')}")
    return took, body
