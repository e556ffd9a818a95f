"""A hostile service: Systems Manager's API and the message gateway on one loopback port.

A scenario decides every message of the data channel. The layout of a message is that of
`crates/ssm-protocol/src/wire.rs`, written again here so that the two cannot share a mistake.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import struct
import subprocess
import tempfile
import time
import uuid

from checks import PATIENCE
from programs import TARGET, program, resident

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OUTPUT, REQUEST, RESPONSE, COMPLETE, FLAG = 1, 5, 6, 7, 10
SYN, FIN, PSH, NOP = range(4)
SECRET = "SECRET-KEY-MARKER"


def frame(payload=b"", opcode=BINARY):
    """One websocket frame of a server."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, size)
    elif size < 65536:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return head + payload


def message(number=0, payload=b"", kind=OUTPUT, name="output_stream_data", flags=0, padding=b" "):
    """One message of the data channel."""
    return b"".join((
        struct.pack(">I", 116), name.encode().ljust(32, padding),
        struct.pack(">IQqQ", 1, int(time.time() * 1000), number, flags), uuid.uuid4().bytes,
        hashlib.sha256(payload).digest(), struct.pack(">II", kind, len(payload)), payload,
    ))


def acknowledge(number):
    body = {
        "AcknowledgedMessageType": "input_stream_data", "AcknowledgedMessageId": str(uuid.uuid4()),
        "AcknowledgedMessageSequenceNumber": number, "IsSequentialMessage": True,
    }
    return message(0, json.dumps(body).encode(), 0, "acknowledge", 3)


def smux(command, stream, data=b""):
    """One smux frame."""
    return struct.pack("<BBHI", 1, command, len(data), stream) + data


def handshake_request(version="3.3.1142.0", session_type="Port"):
    properties = {"portNumber": "22", "localPortNumber": "0", "type": "LocalPortForwarding"}
    parameters = {"SessionType": session_type, "Properties": properties}
    actions = [{"ActionType": "SessionType", "ActionParameters": parameters}]
    return json.dumps({"AgentVersion": version, "RequestedClientActions": actions}).encode()


class Socket:
    """A client's websocket."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.unread = b""

    async def smux_frames(self):
        """Command, stream and data of the smux frames that end in the next stream data.

        They cross messages; those for streams that nobody opened make a message repeatable.
        """
        self.unread += (await self.input())[1]
        frames = []
        while len(self.unread) >= 8:
            _, command, size, stream = struct.unpack("<BBHI", self.unread[:8])
            if len(self.unread) < 8 + size:
                break
            frames.append((command, stream, self.unread[8:8 + size]))
            self.unread = self.unread[8 + size:]
        return frames

    async def frame(self):
        """Opcode and payload of the next frame."""
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4) if second & 128 else bytes(4)
        data = await self.reader.readexactly(size)
        pad = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")
        return first & 15, plain.to_bytes(size, "big")

    async def message(self):
        """Name, number, payload type and payload of the next message."""
        while True:
            opcode, data = await self.frame()
            if opcode == PING:
                self.writer.write(frame(data, PONG))
            if opcode == CLOSE:
                raise ConnectionError("the client closed")
            if opcode in (TEXT, BINARY) and len(data) >= 120:
                (number,) = struct.unpack(">q", data[48:56])
                (kind,) = struct.unpack(">I", data[112:116])
                return data[4:36].strip(b" \0").decode(), number, kind, data[120:]

    async def input(self):
        """Payload type and payload of the next stream data, acknowledged."""
        while True:
            name, number, kind, payload = await self.message()
            if name == "input_stream_data":
                await self.send(acknowledge(number))
                return kind, payload

    async def send(self, *messages):
        await self.raw(b"".join(map(frame, messages)))

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def handshake(self, version="3.3.1142.0", customer_message=""):
        """OpenDataChannel to HandshakeComplete; the next number to send is 2."""
        await self.frame()
        await self.send(message(0, handshake_request(version), REQUEST, flags=1))
        while (await self.input())[0] != RESPONSE:
            pass
        complete = {"HandshakeTimeToComplete": 1000, "CustomerMessage": customer_message}
        await self.send(message(1, json.dumps(complete).encode(), COMPLETE))

    def discard(self):
        """Reads and discards everything that comes, in a task of its own."""

        async def read():
            with contextlib.suppress(OSError):
                while await self.reader.read(1 << 20):
                    pass

        return asyncio.ensure_future(read())

    def break_off(self):
        self.writer.transport.abort()


class Gateway:
    """Serves until its context ends; `scenario` gets each websocket."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.calls, self.heads, self.sockets = [], [], 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=1 << 22)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    def count(self, action):
        return self.calls.count(action)

    async def _client(self, reader, writer):
        # A killed client's connections may break without failing the check.
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
                self.heads.append(head)
                field = lambda name: re.search(rf"(?im)^{name}: *(.*?)\r$", head)
                if field("upgrade"):
                    self.sockets += 1
                    digest = hashlib.sha1(field("sec-websocket-key")[1].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
                    accept = base64.b64encode(digest.digest()).decode()
                    writer.write((
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
                    ).encode())
                    await self.scenario(Socket(reader, writer))
                    return
                size = field("content-length")
                await reader.readexactly(int(size[1]) if size else 0)
                target = field("x-amz-target")
                action = target[1].rpartition(".")[2] if target else ""
                self.calls.append(action)
                body = json.dumps(self._answer(action)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    def _answer(self, action):
        session = {
            "SessionId": "s-1", "TokenValue": f"token-{len(self.calls)}",
            "StreamUrl": f"ws://127.0.0.1:{self.port}/v1/data-channel/s-1?role=publish_subscribe",
        }
        return {
            "StartSession": session, "ResumeSession": session, "TerminateSession": {"SessionId": "s-1"},
            "GetConnectionStatus": {"Target": TARGET, "Status": "connected"},
            "DescribeInstanceInformation": {"InstanceInformationList": []},
        }.get(action, {})


class Tunnel:
    """`port_forward` at a gateway; its events and other lines are read as they come."""

    def __init__(self, gateway, *arguments, env=None, endpoint=True, **options):
        self.home = tempfile.TemporaryDirectory(prefix="ssm-attacks-")
        os.chmod(self.home.name, 0o755)
        at = ["--endpoint-url", gateway.url] if endpoint else []
        self.argv = [
            *program("port_forward"), "--target", TARGET, "--port-number", "22", "--local-port-number", "0",
            *at, *arguments,
        ]
        self.env = {
            "PATH": os.environ["PATH"], "HOME": self.home.name, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost", **(env or {}),
        }
        self.options = options
        self.output = b""

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **self.options,
        )
        self.reader = asyncio.ensure_future(self._read())
        return self

    async def _read(self):
        while data := await self.process.stdout.read(65536):
            self.output += data

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.reader
        self.home.cleanup()

    @property
    def text(self):
        return self.output.decode(errors="replace")

    def events(self, name=None):
        found = []
        for line in self.text.splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and name in (None, event.get("event")):
                    found.append(event)
        return found

    async def event(self, name):
        """The first event of a name."""
        return await self.until(name, lambda: next(iter(self.events(name)), None))

    async def until(self, what, found, patience=PATIENCE):
        """The first true value of `found`, while the tunnel runs."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if value := found():
                return value
            if self.process.returncode is not None:
                await self.reader
                if value := found():
                    return value
                raise AssertionError(f"ended with {self.process.returncode} before {what}\n{self.text}")
            await asyncio.sleep(0.05)
        raise AssertionError(f"{what}: not within {patience} s\n{self.text[-2000:]}")

    async def ends(self, with_signal=None, patience=PATIENCE):
        """Its exit code."""
        if with_signal is not None and self.process.returncode is None:
            self.process.send_signal(with_signal)
        try:
            code = await asyncio.wait_for(self.process.wait(), patience)
        except asyncio.TimeoutError as error:
            raise AssertionError(f"it still runs after {patience} s\n{self.text[-2000:]}") from error
        await self.reader
        return code

    async def connect(self):
        """A local connection through the tunnel."""
        await self.event("ready")
        listening = await self.event("listening")
        host, _, port = listening["address"].rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def stays_below(self, growth, base, seconds, enough=lambda: False):
        """Checks for `seconds`, or until `enough`, that resident memory grows by at most `growth` MB."""
        end = time.monotonic() + seconds
        most = base
        while time.monotonic() < end and self.process.returncode is None:
            with contextlib.suppress(OSError, TypeError):
                most = max(most, self.memory())
            assert most - base <= growth, f"memory grew from {base:.0f} to {most:.0f} MB"
            if enough():
                break
            await asyncio.sleep(0.2)

    def memory(self):
        return resident(self.process.pid)
