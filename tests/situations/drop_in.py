"""The drop-in for session-manager-plugin: the AWS CLI and other callers run it."""

import hashlib
import hmac
import json
import os
import pty
import select
import socket
import threading
import time
import urllib.parse

from checks import PATIENCE, check, equal
from front import TlsFront
from programs import ACCOUNT, INTERRUPT, PORT_DOCUMENT, TARGET, TERMINATE, Place, executable

KEYS = "aws_access_key_id = $KEY$\naws_secret_access_key = $SECRET$\n"
WAITS = "Waiting for connections"


@check
def the_profile_takes_precedence_over_environment_keys():
    with Place("--no-mfa", "--user", "taro", "--user", "hana") as at:
        at.config("[profile work]\nregion = us-east-1\n")
        at.credentials("[work]\n" + KEYS)
        key, secret = at.keys[1]
        hana = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        running = at.drop_in(at.start_session(), "work", env=hana)
        running.shows(WAITS)
        running.ends(TERMINATE).ended_with(0)
        signed = {it["access_key_id"] for it in at.requests() if it["access_key_id"]}
        equal(signed, {at.keys[0][0]}, running.text)
        equal([it["Status"] for it in at.sessions()], ["Terminated"])


@check
def a_missing_profile_ends_the_plugin_and_is_named():
    # As from callers that pass a region in its place.
    with Place("--no-mfa") as at:
        at.config("[default]\nregion = us-east-1\n")
        at.credentials("[default]\n" + KEYS)
        # The exit code of AWS's plugin, whatever happens.
        result = at.drop_in(at.start_session(), "eu-west-1").ends()
        result.says("eu-west-1").says_nothing_of(WAITS)


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _readings(head, secret):
    """The readings of a plus sign in the query for which the upgrade's signature is valid."""
    line, *rest = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (it.partition(":") for it in rest if it)}
    path, query = line.split(" ")[1].split("?", 1)
    authorization = headers["authorization"]
    field = lambda name: authorization.split(name + "=")[1].split(",")[0]
    names, scope = field("SignedHeaders"), field("Credential").split("/", 1)[1]
    good = []
    for plus in ("%20", "%2B"):
        encode = lambda it: urllib.parse.quote(urllib.parse.unquote(it).replace("+", "\0"), safe="-_.~").replace("%00", plus)
        pairs = sorted(tuple(map(encode, it.split("=", 1))) for it in query.split("&"))
        canonical = "\n".join([
            "GET", urllib.parse.quote(path, safe="/-_.~"), "&".join("=".join(it) for it in pairs),
            *(f"{name}:{headers[name]}" for name in names.split(";")), "", names, hashlib.sha256(b"").hexdigest(),
        ])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = ("AWS4" + secret).encode()
        for part in scope.split("/"):
            key = _mac(key, part)
        text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
        if _mac(key, text).hex() == field("Signature"):
            good.append(plus)
    return good


@check
def a_stream_url_of_the_service_is_signed_as_it_is_sent():
    # A session id with an e-mail address, and every character of base64 in the cell-number.
    session_id = "jo.doe@example.com-01dc4c3150f53f6d3"
    query = "role=publish_subscribe&cell-number=++++P21hZGUtdXAvY2VsbCBudW1iZXIgPj4++vv8/f7/fn5+fg=="
    with Place("--no-mfa") as at, socket.create_server(("127.0.0.1", 0)) as listener:
        at.config("[default]\nregion = us-east-1\n")
        at.credentials("[default]\n" + KEYS)
        heads = []

        def refuse():
            tcp, _ = listener.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += tcp.recv(4096)
            heads.append(head.decode().split("\r\n\r\n")[0])
            tcp.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            tcp.close()

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/data-channel/{session_id}?{query}"
        result = at.drop_in({"SessionId": session_id, "TokenValue": "t+/==", "StreamUrl": url}).ends()
        thread.join(PATIENCE)
        assert heads, result
        result.says_nothing_of(WAITS)
        target = heads[0].split(" ")[1]
        equal(urllib.parse.unquote(target), f"/v1/data-channel/{session_id}?{query}")
        assert _readings(heads[0], at.keys[0][1]), f"another request was signed: {heads[0]}"


def start_session_of_the_cli(at, profile, code=None):
    """`aws ssm start-session` on a terminal until it waits for connections, then Ctrl-C."""
    tools = at.folder / "bin"
    tools.mkdir()
    executable("session-manager-plugin", tools)
    env = {**at.env, "AWS_ENDPOINT_URL": at.url, "PATH": f"{tools}:{at.env['PATH']}"}
    arguments = [
        os.environ["AWS"], "--profile", profile, "ssm", "start-session", "--target", TARGET,
        "--document-name", PORT_DOCUMENT, "--parameters", "portNumber=9,localPortNumber=0",
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(arguments[0], arguments, env)
    screen, typed, interrupted = "", 0, False
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        screen += data.decode(errors="replace")
        if code and screen.count("MFA code") > typed:
            typed += 1
            os.write(terminal, f"{code}\n".encode())
        if WAITS in screen and not interrupted:
            interrupted = True
            os.write(terminal, b"\x03")
    os.close(terminal)
    os.waitpid(pid, 0)
    return screen, typed


@check
def a_role_session_of_the_aws_cli_is_the_one_used():
    # The role requires no code, but Systems Manager does; the CLI has asked for one.
    with Place("--role", "dev,no-mfa") as at:
        at.config(
            "[profile base]\nregion = us-east-1\n[profile dev]\nregion = us-east-1\nendpoint_url = $URL$\n"
            f"source_profile = base\nmfa_serial = $SERIAL$\nrole_arn = arn:aws:iam::{ACCOUNT}:role/dev\n"
            "role_session_name = jo\n"
        )
        at.credentials("[base]\n" + KEYS)
        screen, typed = start_session_of_the_cli(at, "dev", at.code())
        assert WAITS in screen, screen
        equal(typed, 1, screen)
        equal([it["outcome"] for it in at.requests("StartSession")], ["answered"])
        ends = at.requests("TerminateSession")
        assert ends and {it["outcome"] for it in ends} == {"answered"}, f"{ends}\n{screen}"
        equal([it["Status"] for it in at.sessions()], ["Terminated"], screen)


@check
def a_ca_bundle_is_trusted_for_sts_too():
    # TLS inspection, and a profile with a role: STS is called first.
    with Place("--no-mfa", "--role", "dev,no-mfa") as at, TlsFront(at.folder, at.url) as front:
        at.config(
            f"[profile base]\nregion = us-east-1\n[profile dev]\nregion = us-east-1\nendpoint_url = {front.url}\n"
            f"source_profile = base\nrole_arn = arn:aws:iam::{ACCOUNT}:role/dev\nrole_session_name = jo\n"
        )
        at.credentials("[base]\n" + KEYS)
        env = {"AWS_CA_BUNDLE": str(front.ca)}
        at.forwards("--profile", "dev", env=env)
        exported = at.run("mfa", "export", "--profile", "dev", env=env).ended_with(0)
        keys = json.loads(exported.out)
        at.keys.append((keys["AccessKeyId"], keys["SecretAccessKey"]))
        more = ("--cacert", str(front.ca), "-H", f"X-Amz-Security-Token: {keys['SessionToken']}")
        session = at.start_session(user=1, endpoint=front.url, more=more)
        running = at.drop_in(session, "dev", env=env, endpoint=front.url)
        running.shows(WAITS)
        running.ends(INTERRUPT).ended_with(0)
        equal({it["Status"] for it in at.sessions()}, {"Terminated"}, running.text)
