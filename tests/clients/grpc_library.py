"""Calls the library with grpcio: `grpc_library.py ADDRESS PROTO_DIR TOKEN HTTP_URL VIDEO PUBLIC_ID`.

Generates its client from the proto file as an integrator does, and compares each answer with that of the HTTP API."""

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

ADDRESS, PROTO_DIR, TOKEN, HTTP_URL, VIDEO, PUBLIC_ID = sys.argv[1:]
DEADLINE_S = 20

out = tempfile.mkdtemp()
proto = Path(PROTO_DIR) / "rushes/v1/library.proto"
command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO_DIR}", f"--python_out={out}", f"--grpc_python_out={out}", str(proto)]
subprocess.run(command, check=True)
sys.path.insert(0, out)

from rushes.v1 import library_pb2 as v1  # noqa: E402
from rushes.v1.library_pb2_grpc import LibraryServiceStub  # noqa: E402

channel = grpc.insecure_channel(ADDRESS)
library = LibraryServiceStub(channel)
BEARER = (("authorization", f"Bearer {TOKEN}"),)


def http(path: str, token: bool = False) -> tuple[int, dict]:
    request = urllib.request.Request(f"{HTTP_URL}{path}")
    if token:
        request.add_header("authorization", f"Bearer {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def at_this_address(url: str | None) -> str:
    """A link of the HTTP API as gRPC gives it: its host is the one that the client has called."""
    if not url:
        return ""
    assert url.startswith(f"{HTTP_URL}/"), url
    return f"http://{ADDRESS}{url.removeprefix(HTTP_URL)}"


def comparable(message: v1.Video | v1.Output) -> dict:
    """All fields as JSON has them."""
    values = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    if "tags" in values:
        values["tags"] = list(values["tags"])
        values["visibility"] = v1.Visibility.Name(message.visibility).removeprefix("VISIBILITY_").lower()
        is_published = message.HasField("published_at")
        values["published_at"] = message.published_at.ToMilliseconds() if is_published else ""
    return values


def same(message: v1.Video | v1.Output, shown: dict) -> None:
    """Compares all fields of both. An absent text is empty in gRPC, and an absent number is 0."""
    names = {field.name for field in message.DESCRIPTOR.fields}
    beside = {"outputs", "freshness", "highlights"} if "tags" in names else set()
    assert names == set(shown) - beside, names ^ set(shown)
    expected = {name: shown[name] for name in names}
    for name, value in expected.items():
        if name.endswith("url"):
            expected[name] = at_this_address(value)
        elif name == "published_at" and value:
            expected[name] = round(datetime.fromisoformat(value).timestamp() * 1000)
        elif value is None:
            expected[name] = 0 if name.endswith("_px") else ""
    assert comparable(message) == expected, (comparable(message), expected)


def same_outputs(outputs: list[v1.Output], shown: list[dict]) -> None:
    assert shown
    for output, other in zip(outputs, shown, strict=True):
        same(output, other)


def refused(call, status: grpc.StatusCode, reason: str | None) -> error_details_pb2.ErrorInfo | None:
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == status, error
        if reason is None:
            return None
        info = error_details_pb2.ErrorInfo()
        details = [detail for detail in rpc_status.from_call(error).details if detail.Is(info.DESCRIPTOR)]
        details[0].Unpack(info)
        assert (info.reason, info.domain) == (reason, "rushes"), info
        return info
    raise AssertionError(f"not refused with {status}")


def pages() -> None:
    for own in (False, True):
        path, metadata = ("/api/videos", BEARER) if own else ("/api/library", ())
        seen, token = [], ""
        while True:
            request = v1.ListVideosRequest(page_size=2, page_token=token, own=own)
            page = library.ListVideos(request, metadata=metadata, timeout=DEADLINE_S)
            seen.extend(page.videos)
            token = page.next_page_token
            if not token:
                break
        _, shown = http(f"{path}?max=100", token=own)
        assert len(seen) == len(shown["data"]) > 2, (own, len(seen))
        for video, other in zip(seen, shown["data"]):
            same(video, other)
        assert not page.freshness.degraded and page.freshness.HasField("as_of")


def searches() -> None:
    request = v1.SearchVideosRequest(query="tolk", facets=["tags", "region"])
    page = library.SearchVideos(request, timeout=DEADLINE_S)
    _, shown = http("/api/library/search?q=tolk&facets=tags,region")
    assert page.total == shown["total"] > 0
    assert [(one.word, list(one.replacements)) for one in page.corrected] == [
        (one["word"], one["replacements"]) for one in shown["corrected"]
    ]
    for facet, other in zip(page.facets, shown["facets"], strict=True):
        assert facet.name == other["name"]
        assert [(one.value, one.count) for one in facet.counts] == [(one["value"], one["count"]) for one in other["counts"]]
    for hit, other in zip(page.hits, shown["data"], strict=True):
        same(hit.video, other)
        assert [[one.start, one.end] for one in hit.highlights] == other["highlights"]


def errors() -> None:
    invalid, unauthenticated = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED
    refused(lambda: library.ListVideos(v1.ListVideosRequest(page_size=101)), invalid, "query_invalid")
    refused(lambda: library.ListVideos(v1.ListVideosRequest(sort=99)), invalid, "query_invalid")
    refused(lambda: library.SearchVideos(v1.SearchVideosRequest(query="talk", sort=99)), invalid, "query_invalid")
    refused(lambda: library.ListVideos(v1.ListVideosRequest(page_token="x")), invalid, "cursor_invalid")
    refused(lambda: library.SearchVideos(v1.SearchVideosRequest(query="")), invalid, "query_invalid")
    refused(lambda: library.GetVideo(v1.GetVideoRequest(id=1_000_000)), grpc.StatusCode.NOT_FOUND, "video_not_found")
    own = v1.ListVideosRequest(own=True)
    refused(lambda: library.ListVideos(own), unauthenticated, "token_missing")
    refused(lambda: library.ListVideos(own, metadata=(("authorization", "Bearer a.b.c"),)), unauthenticated, "token_invalid")
    # Larger than 64 KiB.
    large = v1.SearchVideosRequest(query="x" * 70_000)
    refused(lambda: library.SearchVideos(large), grpc.StatusCode.RESOURCE_EXHAUSTED, "body_too_large")
    unknown = channel.unary_unary("/rushes.v1.NoService/Call")
    refused(lambda: unknown(b""), grpc.StatusCode.UNIMPLEMENTED, None)
    stream = channel.stream_stream("/rushes.v1.NoService/Stream")
    refused(lambda: list(stream(iter([b""]))), grpc.StatusCode.UNIMPLEMENTED, None)
    method = channel.unary_unary("/rushes.v1.LibraryService/NoMethod")
    refused(lambda: method(b""), grpc.StatusCode.UNIMPLEMENTED, None)
    malformed = channel.unary_unary("/rushes.v1.LibraryService/ListVideos")
    for truncated in (b"\xff\xff\xff", b"\x12\x7f"):
        refused(lambda: malformed(truncated), invalid, "request_invalid")


def services() -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "rushes.v1.LibraryService"):
        state = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE_S).status
        assert state == health_pb2.HealthCheckResponse.SERVING, (service, state)
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = reflection.ServerReflectionInfo(iter([request]), timeout=DEADLINE_S)
    names = {service.name for service in reply.list_services_response.service}
    assert {"rushes.v1.LibraryService", "grpc.health.v1.Health"} <= names, names


def cut_call() -> None:
    """A call that is cut in the middle does not harm the next one."""
    for _ in range(20):
        future = library.SearchVideos.future(v1.SearchVideosRequest(query="talk"))
        future.cancel()
    assert library.SearchVideos(v1.SearchVideosRequest(query="talk"), timeout=DEADLINE_S).total > 0


status, shown = http(f"/api/library/{VIDEO}")
assert status == 200, shown
for request in (v1.GetVideoRequest(id=int(VIDEO)), v1.GetVideoRequest(public_id=PUBLIC_ID)):
    reply = library.GetVideo(request, timeout=DEADLINE_S)
    same(reply.video, shown)
    same_outputs(reply.outputs, shown["outputs"])
pages()
searches()
errors()
services()
cut_call()
print("ok")
