"""Calls to the API, as a script of a user makes them: with the standard library alone."""

import json
import time
import urllib.parse
import urllib.request
import uuid


class Client:
    """An account of a server."""

    def __init__(self, url, token):
        self.url = url
        self.token = token

    def request(self, method, path, body=None, content_type="application/json"):
        """Sends a request and returns the JSON of the reply, or its text if it is none."""
        request = urllib.request.Request(self.url + path, data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read().decode()
            return json.loads(text) if "json" in reply.headers["Content-Type"] else text

    def get(self, path, **parameters):
        """Gets JSON. A list as the value of a parameter is sent as several parameters."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        return self.request("GET", f"{path}?{query}")

    def put(self, path, body):
        """Puts JSON."""
        return self.request("PUT", path, json.dumps(body).encode())

    def form(self, path, name, file, **fields):
        """Posts a form with a file."""
        boundary = uuid.uuid4().hex
        parts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + file)
        body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
        body += b"--%s--\r\n" % boundary.encode()
        return self.request("POST", path, body, f"multipart/form-data; boundary={boundary}")

    def ended(self, import_id):
        """Waits for the end of an import. Its counts add up at every moment."""
        deadline = time.monotonic() + 120
        while True:
            found = self.get(f"/api/imports/{import_id}")
            rows = dict(found["rows"])
            total = rows.pop("total")
            assert total == sum(rows.values()), found
            if found["finished_at"]:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.1)


def check(name, found, expected):
    """Compares an answer with the oracle."""
    assert found == expected, f"{name}: {found!r} is not {expected!r}"
    print(f"{name}: as expected")
