"""What may reach a terminal, another program, another user or another endpoint."""

import asyncio
import hashlib
import http.server
import json
import os
import shutil
import struct
import sys
import threading

from checks import Skipped, check, equal
from gateway import CLOSE, REQUEST, Gateway, Tunnel, frame, handshake_request, message
from programs import ACCOUNT, TARGET, TERMINATE, Place

# Sets the clipboard, clears the screen, sets the title; and the same with one-byte introducers.
ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b]0;pwned\x07\x9b2J\x9d0;pwned\x9c\u202e"


def printed(scenario, until):
    """What a tunnel prints in text form until a word appears, and from there to its end."""

    async def run():
        async with Gateway(scenario) as gateway, Tunnel(gateway) as tunnel:
            await tunnel.until(until, lambda: until in tunnel.text)
            await tunnel.ends(TERMINATE)
            return tunnel.output

    return asyncio.run(run())


def clean(output, word):
    text = output.decode(errors="replace")
    assert word in text, f"{word!r} is missing in {text!r}"
    bad = [it for it in text if (ord(it) < 32 and it not in "\n\t") or 0x7F <= ord(it) < 0xA0 or it == "\u202e"]
    assert not bad, f"{bad!r} in {text!r}"


@check
def the_agents_escape_sequences_never_reach_the_terminal():
    async def customer_message(ws):
        await ws.handshake(customer_message=ESCAPES + "hello")
        await ws.message()

    clean(printed(customer_message, "hello"), "hello")

    async def version(ws):
        await ws.handshake(version="3.3.1142.0" + ESCAPES)
        await ws.message()

    clean(printed(version, "Waiting for connections"), "Waiting")

    async def session_type(ws):
        await ws.frame()
        await ws.send(message(0, handshake_request(session_type="Sh" + ESCAPES + "ell"), REQUEST, flags=1))
        await ws.frame()

    clean(printed(session_type, "ell"), "ell")


@check
def the_services_escape_sequences_never_reach_the_terminal():
    async def channel_closed(ws):
        await ws.handshake()
        body = json.dumps({"Output": ESCAPES + "goodbye"}).encode()
        await ws.send(message(0, body, 0, "channel_closed", padding=b"\0"))
        await ws.message()

    clean(printed(channel_closed, "goodbye"), "goodbye")

    async def close_reason(ws):
        await ws.handshake()
        await ws.raw(frame(struct.pack(">H", 1001) + (ESCAPES + "farewell").encode(), CLOSE))
        await ws.frame()

    clean(printed(close_reason, "Waiting for connections"), "Waiting")


@check
def an_unused_code_reaches_no_commands_environment():
    async def run():
        async def scenario(ws):
            await ws.handshake()
            while True:
                await ws.input()

        env = {"SSM_TUNNEL_MFA_CODE": "918273", "HARMLESS": "kept"}
        async with Gateway(scenario) as gateway, Tunnel(gateway, "--", "env", env=env) as tunnel:
            equal(await tunnel.ends(), 0, tunnel.text)
            assert "HARMLESS=kept" in tunnel.text, tunnel.text
            assert "918273" not in tunnel.text, "the code is in the command's environment"

    asyncio.run(run())


@check
def a_session_token_is_never_sent_by_plain_http():
    """0.0.0.0 stands for another machine: nothing leaves this one."""

    async def run():
        async def scenario(ws):
            await ws.frame()

        async with Gateway(scenario) as gateway:
            for name in ("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"):
                env = {
                    "AWS_SESSION_TOKEN": "SESSION-TOKEN-MARKER", "NO_PROXY": "*",
                    name: f"http://0.0.0.0:{gateway.port}",
                }
                async with Tunnel(gateway, env=env, endpoint=False) as tunnel:
                    code = await tunnel.ends()
                    assert code != 0, tunnel.text
                    assert "https" in tunnel.text and "0.0.0.0" in tunnel.text, tunnel.text
                    assert "SESSION-TOKEN-MARKER" not in tunnel.text
            equal(gateway.heads, [], "nothing was sent")

    asyncio.run(run())


class Recorder:
    """An endpoint that records the headers of the requests that it refuses."""

    def __enter__(self):
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append(str(self.headers))
                self.send_response(400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()


@check
def the_aws_cli_cache_is_for_aws_endpoints_only():
    role = f"arn:aws:iam::{ACCOUNT}:role/dev"
    with Place() as at, Recorder() as other:
        at.credentials("[base]\naws_access_key_id=$KEY$\naws_secret_access_key=$SECRET$\n")
        at.config(f"[profile dev]\nregion=us-east-1\nsource_profile=base\nrole_arn={role}\nmfa_serial=$SERIAL$\n")
        direct = ("--profile", "dev", "--strategy", "direct")
        login = ("--endpoint-url", at.url, "--cli-cache", "read-write", "--mfa-code", at.code())
        at.run("mfa", "login", *direct, *login).ended_with(0)
        cache = at.home / ".aws/cli/cache"
        equal(sorted(os.listdir(cache)) if cache.exists() else [], [], "nothing of a stand-in is put there")
        status = at.run("mfa", "status", *direct)
        assert status.code != 0, f"a stand-in's session counts as one of AWS's\n{status}"

        # What the AWS CLI itself stores for this role.
        cache.mkdir(parents=True, exist_ok=True)
        arguments = json.dumps({"RoleArn": role, "SerialNumber": at.serial}, sort_keys=True)
        name = hashlib.sha1(arguments.encode()).hexdigest()
        kept = {
            "AccessKeyId": "ASIAREALREALREALREAL", "SecretAccessKey": "s", "SessionToken": "REAL-SESSION-TOKEN-MARKER",
            "Expiration": "2999-01-01T00:00:00Z",
        }
        user = {"AssumedRoleId": "AROAEXAMPLE:jo", "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/dev/jo"}
        path = cache / f"{name}.json"
        path.write_text(json.dumps({"Credentials": kept, "AssumedRoleUser": user}))
        path.chmod(0o600)
        shutil.rmtree(at.home / ".cache", ignore_errors=True)
        result = at.run("port_forward", TARGET, "--port-number", "22", "--profile", "dev", "--endpoint-url", other.url)
        assert result.code != 0, result
        leaked = [it for it in other.seen if "REAL-SESSION-TOKEN-MARKER" in it]
        equal(leaked, [], f"a session of AWS went to another endpoint\n{result}")
        assert "REAL-SESSION-TOKEN-MARKER" not in result.text, result


CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for number in range(int(sys.argv[2])):
    with socket.socket() as tcp:
        try:
            tcp.connect(("127.0.0.1", int(sys.argv[1]))); tcp.send(b"FROM-NOBODY-%d;" % number)
        except OSError:
            pass
"""


def closed_at_once(owner):
    """Connections of the user `nobody` that are closed as soon as they have sent something."""
    if os.geteuid():
        raise Skipped("needs root, for a second user")

    async def run():
        received = bytearray()

        async def scenario(ws):
            await ws.handshake()
            while True:
                received.extend((await ws.input())[1])

        async with Gateway(scenario) as gateway:
            async with Tunnel(gateway, "--output", "json", "--same-user-only", **owner) as tunnel:
                if owner:
                    os.chown(tunnel.home.name, owner["user"], owner["group"])
                await tunnel.event("ready")
                port = (await tunnel.event("listening"))["address"].rpartition(":")[2]
                count = 300
                connecting = await asyncio.create_subprocess_exec(sys.executable, "-c", CONNECT, port, str(count))
                equal(await connecting.wait(), 0)
                opened = lambda: tunnel.events("connection_opened")
                failed = lambda: tunnel.events("connection_failed") + tunnel.events("connection_unidentified")
                decided = lambda: len(opened()) + len(failed()) >= count
                # Events not read in time are dropped, so not every connection has its own.
                try:
                    await tunnel.until("every connection's fate", decided, patience=10)
                except AssertionError:
                    pass
                return opened(), failed(), bytes(received), tunnel.text

    return asyncio.run(run())


@check
def connections_with_an_unknown_owner_are_refused():
    opened, failed, received, text = closed_at_once({})
    assert not opened, f"{len(opened)} connections of another user were admitted"
    assert b"FROM-NOBODY" not in received, "another user's bytes went through"
    assert failed, f"no refusal was reported\n{text[:3000]}"


@check
def a_users_own_connections_are_admitted():
    owner = {"user": 65534, "group": 65534, "extra_groups": []}
    opened, failed, received, text = closed_at_once(owner)
    # Connections whose owner was still known were admitted; the others are reported with the reason.
    assert opened or failed, text[:3000]
    for event in failed:
        assert "another user" not in event.get("reason", ""), event
