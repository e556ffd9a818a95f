"""What a peer can make the client do: it ends when asked, waits between calls, and accepts what the protocol allows."""

import asyncio
import contextlib
import struct
import time

from checks import check, equal
from gateway import FIN, FLAG, NOP, PING, PSH, SYN, Gateway, Tunnel, frame, message, smux
from programs import TERMINATE


async def streams_of(ws, wanted):
    """The first `count` streams that the client opens."""
    streams = []
    while len(streams) < wanted:
        streams += [stream for command, stream, _ in await ws.smux_frames() if command == SYN]
    return streams


def floods(after_download):
    async def run():
        flooding = asyncio.Event()

        async def scenario(ws):
            await ws.handshake()
            (stream,) = await streams_of(ws, 1)
            ws.discard()
            if after_download:
                for number in range(2, 402):
                    await ws.send(message(number, smux(PSH, stream, b"b" * 1016)))
            pings = frame(b"", PING) * 20000
            flooding.set()
            while True:
                await ws.raw(pings)
                await asyncio.sleep(0)

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            reader, writer = await tunnel.connect()
            writer.write(b"b")

            async def read():
                with contextlib.suppress(OSError):
                    while await reader.read(1 << 20):
                        pass

            reading = asyncio.ensure_future(read())
            await asyncio.wait_for(flooding.wait(), 60)
            base = tunnel.memory()
            await tunnel.stays_below(50, base, 3)
            # Closing takes at most three times close_timeout and a second, 10 s; the rest is for a busy machine.
            equal(await tunnel.ends(TERMINATE, patience=20), 0, tunnel.text)
            assert gateway.count("TerminateSession") >= 1, gateway.calls
            reading.cancel()

    asyncio.run(run())


@check
def a_flood_of_pings_does_not_delay_closing():
    floods(after_download=False)


@check
def a_flood_of_pings_after_a_download_does_not_delay_closing():
    floods(after_download=True)


@check
def websockets_that_break_at_once_are_resumed_with_back_off():
    """Each lets one message through, so that each looks like progress."""

    async def run():
        number = [2]

        async def scenario(ws):
            if gateway.sockets == 1:
                await ws.handshake()
                await tunnel.event("ready")
                return ws.break_off()
            await ws.frame()
            await ws.send(message(number[0], smux(NOP, 0)))
            number[0] += 1
            await ws.message()
            ws.break_off()

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            await tunnel.event("ready")
            start = time.monotonic()
            # One call per second on average at first, fewer later.
            with contextlib.suppress(AssertionError):
                await tunnel.until("many calls", lambda: gateway.count("ResumeSession") > 30, patience=15)
            calls, took = gateway.count("ResumeSession"), time.monotonic() - start
            assert calls >= 1, tunnel.text
            assert calls <= 30, f"{calls} calls in {took:.1f} s"

    asyncio.run(run())


@check
def a_half_closed_connection_waits_for_its_own_answer_only():
    """Another connection of the session sends all the time."""

    async def run():
        async def scenario(ws):
            await ws.handshake()
            number = 2
            while True:
                for command, stream, _ in await ws.smux_frames():
                    if command == FIN:
                        await ws.send(message(number, smux(FIN, stream)))
                        number += 1

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            _, asking = await tunnel.connect()
            asking.write(b"question")
            asking.write_eof()
            _, busy = await tunnel.connect()

            async def send():
                while True:
                    busy.write(b"x")
                    await asyncio.sleep(0.1)

            sending = asyncio.ensure_future(send())
            # half_close_quiet is 10 s, also beside a busy neighbour.
            closed = lambda: tunnel.events("connection_closed")
            await tunnel.until("the half-closed connection's end", closed, patience=15)
            sending.cancel()

    asyncio.run(run())


@check
def a_flag_right_after_the_handshake_is_accepted():
    """In one segment with HandshakeComplete."""

    async def run():
        async def scenario(ws):
            await ws.handshake()
            # ConnectToPortError, for no stream.
            await ws.send(message(2, struct.pack(">I", 3), FLAG))
            (stream,) = await streams_of(ws, 1)
            await ws.send(message(3, smux(PSH, stream, b"hello")))
            while True:
                await ws.message()

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            reader, writer = await tunnel.connect()
            writer.write(b"x")
            data = await asyncio.wait_for(reader.readexactly(5), 60)
            equal(data, b"hello", tunnel.text)
            assert "before the handshake" not in tunnel.text, tunnel.text
            equal(await tunnel.ends(TERMINATE), 0, tunnel.text)

    asyncio.run(run())
