"""Commands as users type them, files as other programs write them, and the service's denials."""

import http.server
import re
import socket
import threading

from checks import check, equal, eventually
from programs import INTERRUPT, TARGET, Place


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers every request with an empty body."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@check
def a_host_with_its_port_is_understood_or_explained():
    with Place("--no-mfa") as at:
        env = at.key_variables()
        for arguments in (["--host", "db.internal:5432", "--port-number", "5432"], ["--forward", "0:db:5432"]):
            result = at.run("port_forward", TARGET, *arguments, "--", "true", env=env)
            result.says_nothing_of("panicked")
            if result.code:
                result.ended_with(125)
                assert "remote host" in result.text or "--forward" in result.text, result
        hosts = [it["parameters"].get("DocumentName") for it in at.requests("StartSession")]
        assert all(name and name.endswith("ToRemoteHost") for name in hosts), hosts


@check
def several_forwards_each_lead_to_their_own_host():
    with Place("--no-mfa") as at:
        forwards = ["0=db.internal:5432", "0=cache.internal:6379", "0=[2001:db8::5]:80"]
        arguments = [word for it in forwards for word in ("--forward", it)]
        inside = ["sh", "-c", 'test -n "$SSM_TUNNEL_PORT" && test -n "$SSM_TUNNEL_PORT_2" && test -n "$SSM_TUNNEL_PORT_3"']
        at.run("port_forward", TARGET, *arguments, "--", *inside, env=at.key_variables()).ended_with(0)
        documents = [it["parameters"]["DocumentName"] for it in at.requests("StartSession")]
        equal(documents, ["AWS-StartPortForwardingSessionToRemoteHost"] * 3)
        equal([it["Status"] for it in at.sessions()], ["Terminated"] * 3)


@check
def listening_beyond_loopback_needs_a_second_flag():
    with Place("--no-mfa") as at:
        env = at.key_variables()
        for address in ("127.1.2.3", "::1"):
            at.forwards("--local-address", address, env=env)
        before = len(at.requests())
        at.forward("--local-address", "0.0.0.0", env=env).ended_with(125).says("network")
        equal(len(at.requests()), before, "nothing was asked of the service")
        at.forwards("--local-address", "0.0.0.0", "--expose-to-network", env=env)


@check
def a_late_destination_is_reached_in_the_same_session():
    with Place("--no-mfa") as at:
        with socket.create_server(("127.0.0.1", 0)) as chosen:
            port = chosen.getsockname()[1]
        ready = at.folder / "ready"
        tunnel = at.start("port_forward", TARGET, "--port-number", port, "--ready-file", ready, env=at.key_variables())
        tunnel.shows("Waiting for connections")
        eventually("the ready file", ready.exists)
        local = ready.read_text().strip().splitlines()[0].rsplit(":", 1)[1]
        url = f"http://127.0.0.1:{local}/"
        fetch = lambda: at.execute(["curl", "-sS", "-f", "--noproxy", "*", "-m", "60", url])
        for _ in range(3):
            assert fetch().code != 0
        server = http.server.HTTPServer(("127.0.0.1", port), Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch().ended_with(0)
        server.shutdown()
        tunnel.ends(INTERRUPT).ended_with(0)
        equal(len(at.requests("StartSession")), 1)


@check
def bad_requests_for_hybrid_nodes_name_the_advanced_tier():
    node = "mi-0123456789abcdef0"
    with Place("--no-mfa", "--instance", f"{node},name=onprem") as at:
        at.refuse("StartSession", "BadRequest", "")
        result = at.run("port_forward", node, "--port-number", "9", env=at.key_variables())
        assert result.code not in (0, 125), result
        result.says("advanced", node)


@check
def invalid_tokens_name_the_region_among_the_causes():
    with Place("--no-mfa") as at:
        at.refuse(
            "StartSession", "UnrecognizedClientException", "The security token included in the request is invalid."
        )
        result = at.forward(env={**at.key_variables(), "AWS_REGION": "us-gov-west-1"}).ended_with(125)
        assert "region" in result.text.replace("us-gov-west-1", ""), result


@check
def denials_name_the_kind_of_policy():
    with Place("--no-mfa") as at:
        denied = (
            "User: arn:aws:sts::123456789012:assumed-role/Dev/jo is not authorized to perform: ssm:StartSession on"
            f" resource: arn:aws:ec2:us-east-1:123456789012:instance/{TARGET} "
        )
        for context, word in (
            ("with an explicit deny in a service control policy", "organization"),
            ("with an explicit deny in a resource control policy", "organization"),
            ("because no session policy allows the ssm:StartSession action", "session's own policy"),
            ("because no VPC endpoint policy allows the ssm:StartSession action", "VPC endpoint"),
            ("with an explicit deny in a permissions boundary", "boundary"),
        ):
            at.refuse("StartSession", "AccessDeniedException", denied + context)
            result = at.run("port_forward", TARGET, "--port-number", "9", env=at.key_variables())
            result.ended_with(4).says(word)


@check
def postgres_accepts_verify_full():
    with Place("--no-mfa") as at:
        url = "postgres://app@127.0.0.1:9/app?sslmode=verify-full"
        result = at.run("postgres", "--target", TARGET, url, "select 1", env={**at.key_variables(), "PGPASSWORD": "x"})
        assert result.code != 0, result
        # Nothing listens there: reaching it shows that the arguments were accepted.
        result.says_nothing_of("not one that psql takes", "sslmode", "panicked")
        equal(len(at.requests("StartSession")), 1, str(result))


@check
def an_mstsc_file_keeps_its_settings_and_encoding():
    with Place("--no-mfa") as at:
        path = at.folder / "w.rdp"
        text = (
            "screen mode id:i:2\r\nfull address:s:old.example:3389\r\nusername:s:CORP\\j\u00f6\r\n"
            "gatewayhostname:s:gw.corp\r\npassword 51:b:01000000D08C9DDF\r\nalternate shell:s:\r\n"
        )
        path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
        tunnel = at.start("rdp", TARGET, "--rdp-file", path, "--local-port-number", "0", env=at.key_variables())
        tunnel.shows("Waiting")
        tunnel.ends(INTERRUPT).ended_with(0)
        data = path.read_bytes()
        equal(data[:2], b"\xff\xfe")
        lines = data.decode("utf-16").split("\r\n")
        for kept in ("screen mode id:i:2", "username:s:CORP\\j\u00f6", "gatewayhostname:s:gw.corp", "password 51:b:01000000D08C9DDF", "alternate shell:s:"):
            assert kept in lines, f"{kept} is missing in {lines}"
        addresses = [it for it in lines if it.startswith("full address:")]
        equal(len(addresses), 1, str(lines))
        assert re.fullmatch(r"full address:s:127\.0\.0\.1:[1-9]\d*", addresses[0]), addresses
