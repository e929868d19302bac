"""A client of the API: signs up, uploads and polls tasks on one persistent connection."""

import http.client
import json
import secrets
import shutil
import time
import urllib.request
from pathlib import Path

from service import Service

PASSWORD = "123abc456"
BOUNDARY = "rushes-bench-9f1c2ab07d"
FINAL = ("processed", "failed", "canceled")


class Caller:
    """A client with a new account, logged in."""

    def __init__(self, service: Service):
        self.username = f"bench-{secrets.token_hex(6)}"
        self.headers = {"Accept-Language": "en"}
        self.connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        email = f"{self.username}@example.com"
        self.post("/api/auth/signup", username=self.username, password1=PASSWORD, password2=PASSWORD, email=email)
        token = self.post("/api/auth/login", username=self.username, password=PASSWORD)["token"]
        self.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> dict:
        headers = self.headers | ({"Content-Type": kind} if body is not None else {})
        self.connection.request(method, path, body, headers)
        reply = self.connection.getresponse()
        text = reply.read()
        if reply.status not in (200, 201):
            raise RuntimeError(f"{method} {path} was answered with {reply.status}: {text.decode(errors='replace')}")
        return json.loads(text)

    def post(self, path: str, **fields: str) -> dict:
        return self.ask("POST", path, json.dumps(fields).encode())

    def task(self, task: int) -> dict:
        return self.ask("GET", f"/api/tasks/{task}")

    def etag(self, task: int) -> str:
        self.connection.request("GET", f"/api/tasks/{task}", headers=self.headers)
        reply = self.connection.getresponse()
        reply.read()
        return reply.headers["ETag"]

    def upload(self, clip: Path, **parts: str) -> int:
        """Uploads a clip with further text parts and returns the id of its task.

        Each upload has unique bytes, because the outputs of an identical source would be reused.
        """
        before, after = form(clip.name, **parts)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.ask("POST", "/api/tasks", before + clip.read_bytes() + free_box() + after, kind)["task_id"]

    def processed(self, task: int, every_ms: int) -> dict:
        """Polls a task at this interval until it is processed, and returns it."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            seen = self.task(task)
            if seen["status"] == "processed":
                return seen
            if seen["status"] in FINAL:
                raise RuntimeError(f"task {task} is {seen['status']}: {seen.get('error')}")
            time.sleep(every_ms / 1000)
        raise TimeoutError(f"task {task} is still {seen['status']}")

    def fetch(self, task: dict, file: Path) -> None:
        """Downloads the first output of a processed task into a file."""
        with urllib.request.urlopen(task["download"][0], timeout=60) as reply, open(file, "wb") as output:
            shutil.copyfileobj(reply, output)

    def delete(self, task: int) -> None:
        self.ask("DELETE", f"/api/tasks/{task}")


def free_box() -> bytes:
    """A `free` box with eight random bytes, which players skip (ISO/IEC 14496-12 §8.1.2)."""
    return (16).to_bytes(4, "big") + b"free" + secrets.token_bytes(8)


def form(file_name: str, **parts: str) -> tuple[bytes, bytes]:
    """The bytes of a multipart form before and after the file."""
    text = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts.items()
    )
    text += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
    return f"{text}Content-Type: video/mp4\r\n\r\n".encode(), f"\r\n--{BOUNDARY}--\r\n".encode()
