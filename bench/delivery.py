"""Download of an output by its signed link through nginx, against nginx's own static file.

Both are the same file, sent by the same nginx to the same clients in turns. The link is checked by `rushes backend` for each
request, and nginx sends the file (`X-Accel-Redirect`).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import clip
import load
from caller import Caller
from measure import Row, in_turns
from process import free_port, running
from scratch import directory
from service import Service, embedded, is_ready

SUMMARY = "download of an output by its signed link through nginx, against nginx's own static file"
RUNS = 5
SECONDS = 5
CLIENTS = 4
# The video is copied, so the output is about as large as the source.
RECIPE = '{"outputs": [{"kind": "mp4"}]}'
TEMPLATE = Path(__file__).resolve().parent.parent / "nginx/nginx.conf.template"


def run() -> Iterator[Row]:
    with embedded(RUSHES_TRUSTED_PROXIES="127.0.0.1/32", RUSHES_DELIVERY="nginx") as service:
        caller = Caller(service)
        task = caller.processed(caller.upload(clip.long_clip(1280, 720), recipe=RECIPE), every_ms=50)
        link = urlsplit(task["download"][0])
        files = [path for path in (service.directory / "objects/outputs").rglob("*") if path.is_file()]
        if len(files) != 1:
            raise RuntimeError(f"one output was expected: {files}")
        megabytes = files[0].stat().st_size / 1e6
        with nginx(service, files[0].parent) as (port, static):
            rates = [[], []]
            for _ in range(RUNS):
                for url, taken in (
                    (f"http://127.0.0.1:{port}{link.path}?{link.query}", rates[0]),
                    (f"http://127.0.0.1:{static}/{files[0].name}", rates[1]),
                ):
                    done = load.wrk(url, SECONDS, "-c", str(CLIENTS), "-t", "1")
                    taken.append(done.per_second * megabytes)
    detail = f"a file of {megabytes:.0f} MB, {CLIENTS} clients"
    yield in_turns("delivery", *rates, "MB/s", at_least=0.9, detail=detail)


@contextmanager
def nginx(service: Service, static: Path) -> Iterator[tuple[int, int]]:
    """nginx with the configuration of the product, and with a second server for the static files of a directory. Yields
    their ports."""
    port, static_port = free_port(), free_port()
    with directory() as home:
        values = {
            "NGINX_LISTEN": f"127.0.0.1:{port}",
            "NGINX_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
            "NGINX_UPSTREAM": f"127.0.0.1:{service.port}",
            "NGINX_TMP": str(home),
            "NGINX_MAX_UPLOAD": "1m",
            "NGINX_FILES": str(service.directory / "objects"),
            "NGINX_MAX_DOWNLOADS": "40",
            "NGINX_LANGUAGE": "en",
        }
        text = TEMPLATE.read_text(encoding="utf-8")
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", value)
        head, brace, rest = text.rpartition("}")
        server = f"server {{ listen 127.0.0.1:{static_port}; access_log off; location / {{ root {static}; }} }}\n"
        config = home / "nginx.conf"
        # The access log of the product is on the disk, as in production.
        config.write_text(head.replace("/dev/stdout", str(home / "access.log")) + server + brace + rest, encoding="utf-8")
        user = "user root; " if os.geteuid() == 0 else ""
        command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(home), "-c", str(config), "-g", f"{user}daemon off;"]
        with running(command, home / "nginx.log", lambda: is_ready(port)):
            yield port, static_port
