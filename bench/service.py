"""The measured service: the processes of one setup, with a temporary data directory."""

import os
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import stores
from process import free_port, running
from scratch import directory

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Service:
    """A running service."""

    port: int
    pid: int  # process that serves the API
    directory: Path
    redis_url: str | None = None
    settings: dict[str, str] | None = None  # those that further processes of the same setup need

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def embedded(**settings: str) -> Iterator[Service]:
    """`rushes up`: API and worker in one process on SQLite."""
    with directory() as home, part("up", home, settings) as service:
        yield service


@contextmanager
def api_alone(**settings: str) -> Iterator[Service]:
    """`rushes backend` on SQLite, without a worker."""
    with directory() as home, part("backend", home, settings) as service:
        yield service


@contextmanager
def production(**settings: str) -> Iterator[Service]:
    """`rushes backend` and `rushes worker` on Postgres and Redis, with files in a directory."""
    with ExitStack() as stack:
        home = stack.enter_context(directory())
        settings |= {
            "DATABASE_URL": stack.enter_context(stores.postgres()),
            "REDIS_URL": stack.enter_context(stores.redis(home)),
            "STORAGE_URL": f"file://{home}/objects",
        }
        service = stack.enter_context(part("backend", home, settings))
        stack.enter_context(part("worker", home, settings))
        yield replace(service, redis_url=settings["REDIS_URL"], settings=settings)


@contextmanager
def part(role: str, home: Path, settings: dict[str, str]) -> Iterator[Service]:
    port = free_port()
    listen = "RUSHES_METRICS_LISTEN" if role == "worker" else "RUSHES_LISTEN"
    env = clean_environment() | {
        "RUSHES_DATA_DIR": str(home),
        "RUSHES_JWT_SECRET": SECRET,
        "RUSHES_SANDBOX": "best-effort",  # so that it also runs on kernels without Landlock
        listen: f"127.0.0.1:{port}",
    }
    with running([binary(), role], home / f"{role}.log", lambda: is_ready(port), env=env | settings) as child:
        yield Service(port, child.pid, home)


def clean_environment() -> dict[str, str]:
    """The environment of the caller without settings of Rushes."""
    ours = ("RUSHES_", "AWS_", "DATABASE_URL", "REDIS_URL", "STORAGE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def binary() -> Path:
    return Path(os.environ["RUSHES_BIN"]).resolve()


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False
