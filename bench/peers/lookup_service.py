"""A lookup service that needs 20 ms for each answer: prints its port, then answers until it is killed."""

import asyncio
import json

LATENCY_S = 0.02
RESULT = json.dumps({"code": "N1 2AB", "name": "Braintree", "region": "East of England"})


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            points = (await reader.readexactly(length)).count(b'"lat"')
            await asyncio.sleep(LATENCY_S)
            body = f'{{"results":[{",".join([RESULT] * points)}]}}'.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
