"""Lists and searches of files, as clients of a gateway before two gRPC services made them, beside an oracle.

That gateway answered a search with 202 and lost the result. Usage: files.py URL TOKEN CLIP
"""

import sys
import time

from client import Client, check

NAMES = ["harbor at dawn", "harbor at night", "mountain trail", "mountain lake", "city lights", "old harbor crane"]


def main():
    """Uploads files, lists them page by page, and searches each word."""
    client = Client(*sys.argv[1:3])
    with open(sys.argv[3], "rb") as file:
        clip = file.read()
    recipe = '{"outputs":[{"kind":"poster"}]}'
    for name in NAMES:
        client.form("/api/tasks", f"{name}.mp4", clip, recipe=recipe)
    listed, cursor = [], {}
    while True:
        page = client.get("/api/videos", max=4, **cursor)
        listed += [video["title"] for video in page["data"]]
        if not page["next_cursor"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    check("list of files", listed, NAMES[::-1])
    for word in sorted({word for name in NAMES for word in name.split()}):
        expected = sorted(name for name in NAMES if word in name.split())
        deadline = time.monotonic() + 30
        while True:
            found = client.get("/api/videos/search", q=word)
            titles = sorted(video["title"] for video in found["data"])
            # The catalog follows the database within a second.
            if titles == expected or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        check(f"search of {word}", titles, expected)


if __name__ == "__main__":
    main()
