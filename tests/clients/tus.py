"""Uploads a video with tuspy in chunks with checksums, by two uploaders, and creates a task. Arguments: base URL, token, a video."""

import json
import sys
import urllib.request

from tusclient import client


def main(base_url: str, token: str, video: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    tus = client.TusClient(f"{base_url}/api/uploads", headers=headers)
    options = {"chunk_size": 200_000, "metadata": {"filename": "tuspy.mp4"}, "upload_checksum": True}
    first = tus.uploader(video, **options)
    first.upload(stop_at=500_000)
    assert 500_000 <= first.offset < first.get_file_size(), first.offset
    second = tus.uploader(video, url=first.url, **options)
    second.upload()
    assert second.offset == second.get_file_size(), second.offset

    body = json.dumps({"upload_id": second.url.rsplit("/", 1)[-1]}).encode()
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(f"{base_url}/api/tasks", body, headers)
    with urllib.request.urlopen(request) as reply:
        task = json.load(reply)
    assert task["display_name"] == "tuspy.mp4", task
    print(task["task_id"])


main(*sys.argv[1:])
