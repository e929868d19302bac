"""A loader of coordinate files beside an oracle: each row gets the nearest postcode of a service.

That loader asked the service for each row and lost rows: all of a file of ten rows or fewer, and the last batch of others.
Usage: coordinates.py URL TOKEN ADDRESS; the service of postcodes listens at ADDRESS (HOST:PORT).
"""

import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from client import Client, check

DRAW = random.Random(1)


def postcode(lat, lon):
    """The oracle: the postcode of a point; none in the sea."""
    return None if lon < -4 else f"P{round(lat * 10_000)} {round(-lon * 10_000)}"


class Postcodes(BaseHTTPRequestHandler):
    """The service, with 20 ms for an answer, 2 % failures and 2 % refusals."""

    protocol_version = "HTTP/1.1"
    asked = []

    def do_POST(self):
        points = json.loads(self.rfile.read(int(self.headers["content-length"])))["geolocations"]
        time.sleep(0.02)
        luck = DRAW.random()
        if luck < 0.04:
            self.reply(500 if luck < 0.02 else 429, {"error": "later"})
            return
        self.asked.extend((point["latitude"], point["longitude"]) for point in points)
        self.reply(200, {"status": 200, "result": [{"query": point, "result": near(point)} for point in points]})

    def reply(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def near(point):
    """The answer of the service for a point."""
    found = postcode(point["latitude"], point["longitude"])
    return found and [{"postcode": found, "region": "North East", "country": "England"}]


def main():
    """Loads files of several sizes and reads each row back."""
    client = Client(*sys.argv[1:3])
    host, port = sys.argv[3].split(":")
    server = ThreadingHTTPServer((host, int(port)), Postcodes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for count in [1, 9, 10, 11, 20, 6_543]:
        points = [(round(DRAW.uniform(50, 56), 4), round(DRAW.uniform(-5, 0), 4)) for _ in range(count)]
        table = "lat,lon\n" + "".join(f"{lat},{lon}\n" for lat, lon in points)
        begun = client.form("/api/imports", "points.csv", table.encode(), kind="videos", dry_run="true")
        ended = client.ended(begun["id"])
        check(f"rows of {count} points", (ended["rows"]["total"], ended["lookup"]["failed"]), (count, 0))
        rows, cursor = [], {}
        while cursor is not None:
            page = client.get(f"/api/imports/{begun['id']}/rows", **cursor)
            rows += page["data"]
            cursor = page["next_cursor"] and {"cursor": page["next_cursor"]}
        found = [row["lookup_result"] and row["lookup_result"]["postcode"] for row in rows if row["status"] != "duplicate"]
        once = list(dict.fromkeys(points))
        check(f"postcodes of {count} points", found, [postcode(*point) for point in once])
    check("points that were asked for twice", len(Postcodes.asked) - len(set(Postcodes.asked)), 0)


main()
