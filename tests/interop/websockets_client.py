"""The cases of tests/interop/run with `websockets` of PyPI as the client.

Argument: the port of a running Chloe. Prints one line for each case.
"""
import asyncio
import json
import sys
import urllib.parse
import urllib.request

import websockets

PORT = int(sys.argv[1])
PATIENCE_S = 10


def connect(**options):
    return websockets.connect(f"ws://localhost:{PORT}/chloe/websocket", proxy=None, **options)


async def receive(socket) -> dict:
    async with asyncio.timeout(PATIENCE_S):
        text = await socket.recv()
    assert isinstance(text, str), "Chloe speaks text"
    return json.loads(text)


async def subscribe(socket, channel: str) -> None:
    await socket.send(json.dumps({"type": "channel-subscribe", "channel": channel, "id": "a"}))
    answer = await receive(socket)
    assert (answer["type"], answer["channel"], answer["id"]) == ("subscribed", channel, "a"), answer


async def publish(**form: str) -> None:
    def post() -> bytes:
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"http://localhost:{PORT}/send", body) as answer:
            return answer.read()
    assert await asyncio.to_thread(post) == b"success"


async def close_code(socket) -> int:
    async with asyncio.timeout(PATIENCE_S):
        await socket.wait_closed()
    return socket.close_code


async def compression_is_declined_and_the_socket_works() -> None:
    async with connect(compression="deflate") as socket:
        assert socket.protocol.extensions == []
        await subscribe(socket, "plain")


async def publications_arrive_in_order() -> None:
    async with connect() as socket:
        await subscribe(socket, "websockets-order")
        for n in range(100):
            await publish(channel="websockets-order", data=f"number {n}")
        heard = [await receive(socket) for _ in range(100)]
        assert [m["data"] for m in heard] == [f"number {n}" for n in range(100)]
        first = heard[0]["offset"]
        assert [m["offset"] for m in heard] == list(range(first, first + 100))


async def a_ping_is_answered() -> None:
    async with connect() as socket:
        async with asyncio.timeout(PATIENCE_S):
            await (await socket.ping(b"are you there?"))


async def a_message_in_fragments() -> None:
    async with connect() as socket:
        text = json.dumps({"type": "channel-subscribe", "channel": "Stücke", "id": 7})
        await socket.send(list(text))  # a frame for each character
        assert (await receive(socket))["channel"] == "Stücke"


async def a_close_is_answered_with_its_code() -> None:
    for code in (1000, 3000, 4321):
        async with connect() as socket:
            await socket.close(code, "bye")
            assert socket.close_code == code, socket.close_code


async def a_message_over_the_limit_is_1009() -> None:
    async with connect() as socket:
        await socket.send("x" * 70_000)
        assert await close_code(socket) == 1009, socket.close_code


async def chloe_stops_with_1001() -> None:
    async with connect() as socket:
        await subscribe(socket, "websockets-last")
        print("stop", flush=True)  # tests/interop/run stops Chloe when it reads this
        assert await close_code(socket) == 1001, socket.close_code


async def main() -> None:
    for case in (
        compression_is_declined_and_the_socket_works,
        publications_arrive_in_order,
        a_ping_is_answered,
        a_message_in_fragments,
        a_close_is_answered_with_its_code,
        a_message_over_the_limit_is_1009,
        chloe_stops_with_1001,
    ):
        name = case.__name__.replace("_", " ")
        try:
            await case()
        except Exception as error:
            print(f"FAILED {name}: {error!r}", flush=True)
        else:
            print(f"ok {name}", flush=True)


asyncio.run(main())
