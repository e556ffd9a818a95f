"""What a peer can make the client store: limits hold in resident memory."""

import asyncio
import socket

from checks import check
from gateway import OUTPUT, SYN, PSH, Gateway, Tunnel, frame, message, smux

# From a peer that sends as fast as it can.
ATTACKED = 15


@check
def duplicates_for_a_stopped_reader_use_no_memory():
    """Each duplicate is acknowledged, and the acknowledgements cannot be sent."""

    async def run():
        async def scenario(ws):
            await ws.handshake()
            ws.reader._transport.pause_reading()
            again = frame(message(0, b"x", OUTPUT)) * 500
            while True:
                await ws.raw(again)
                await asyncio.sleep(0)

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            await tunnel.event("ready")
            await tunnel.stays_below(50, tunnel.memory(), ATTACKED)

    asyncio.run(run())


@check
def small_messages_ahead_of_a_gap_keep_no_large_buffers():
    """Messages of one byte, each between 32 KiB of messages that are dropped."""

    async def run():
        async def scenario(ws):
            await ws.handshake()
            ws.discard()
            junk = frame(message(0, b"j" * 4000, 0, "agent_session_state")) * 8
            number = 1000
            while True:
                for _ in range(32):
                    ws.writer.write(frame(message(number, b"x")) + junk)
                    number += 1
                await ws.writer.drain()
                await asyncio.sleep(0)

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            await tunnel.event("ready")
            # Twice the limit of 64 MiB for data ahead of a gap.
            await tunnel.stays_below(140, tunnel.memory(), 2 * ATTACKED)

    asyncio.run(run())


@check
def a_stalled_stream_stays_within_its_budget():
    """A stopped local reader beside one that reads: one message of the first between 31 of the second."""

    async def run():
        sent = [0]

        async def scenario(ws):
            await ws.handshake()
            streams = []
            while len(streams) < 2:
                streams += [stream for command, stream, _ in await ws.smux_frames() if command == SYN]
            ws.discard()
            stalled, read = (smux(PSH, stream, bytes(1016)) for stream in streams)
            number = 2
            while True:
                for _ in range(4):
                    ws.writer.write(frame(message(number, stalled)))
                    sent[0] += 1016
                    for _ in range(31):
                        number += 1
                        ws.writer.write(frame(message(number, read)))
                    number += 1
                await ws.writer.drain()
                await asyncio.sleep(0)

        async with Gateway(scenario) as gateway, Tunnel(gateway, "--output", "json") as tunnel:
            _, writer = await tunnel.connect()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            writer.transport.pause_reading()
            writer.write(b"a")
            reader, other = await tunnel.connect()
            other.write(b"b")

            async def read():
                while await reader.read(1 << 20):
                    pass

            reading = asyncio.ensure_future(read())
            # Four times the budget of 4 MiB.
            await tunnel.stays_below(20, tunnel.memory(), ATTACKED, lambda: sent[0] > 100 << 20)
            reading.cancel()

    asyncio.run(run())
