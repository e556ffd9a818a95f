"""MFA on terminals and together with other implementations. Run by mfa_peers.sh.

Each check has a sandbox and a home directory of its own. Nothing sleeps: a check waits for what it
expects, and fails after PATIENCE seconds.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import random
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.parse
import urllib.request

PATIENCE = 600
EXAMPLES = pathlib.Path(sys.argv[1])
VENV = pathlib.Path(sys.executable).parent
MFA = str(EXAMPLES / "mfa")
AWS = str(VENV / "aws")
PROMPT = "Enter MFA code for "
ROLE = "arn:aws:iam::123456789012:role/dev"


def eventually(what, found):
    """The first true value of `found`, which waits a little itself."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = found()
        if value:
            return value
    raise AssertionError(f"{what}: not within {PATIENCE} s")


class Program:
    """A program with pipes, and on a terminal of its own unless `terminal` is False."""

    def __init__(self, argv, env, terminal=True, stdin=subprocess.DEVNULL):
        self.master = self.slave = None
        self.screen = ""
        take = None
        if terminal:
            self.master, self.slave = pty.openpty()
            self.before = termios.tcgetattr(self.slave)
            slave = self.slave
            take = lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            argv, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=take,
        )

    def look(self):
        """Adds what appears on the terminal within a moment to the screen."""
        while select.select([self.master], [], [], 0.1)[0]:
            self.screen += os.read(self.master, 4096).decode(errors="replace")
        return self.screen

    def shows(self, text, times=1):
        def there():
            assert self.process.poll() is None or self.look().count(text) >= times, (
                f"ended without showing {text!r}: {self.screen!r} {self.process.communicate()}"
            )
            return self.look().count(text) >= times

        eventually(f"{text!r} on the terminal", there)

    def type(self, text):
        os.write(self.master, text.encode())

    def settings(self):
        return termios.tcgetattr(self.slave)

    def ends(self):
        """Exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=PATIENCE)
        if self.master is not None:
            self.look()
            os.close(self.master)
            os.close(self.slave)
        return self.process.returncode, out.decode(), err.decode()


class AsAws:
    """A proxy that answers in AWS's place: it terminates the TLS of every host with a certificate of
    its own authority, and forwards the content to the sandbox."""

    def __init__(self, stack, folder, sandbox):
        self.sandbox = urllib.parse.urlsplit(sandbox)
        self.ca = folder / "ca.pem"
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate(folder))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def accept():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return  # closed with the check
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def certificate(self, folder):
        import datetime

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        now = datetime.datetime.now(datetime.timezone.utc)

        def issue(subject, key, issuer, signer, *extensions):
            name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
            builder = x509.CertificateBuilder(
                name(issuer), name(subject), key.public_key(), x509.random_serial_number(),
                now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1),
            )
            of_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
            of_signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
            for extension, critical in [(of_key, False), (of_signer, False), *extensions]:
                builder = builder.add_extension(extension, critical)
            return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

        authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        usage = dict.fromkeys(
            ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "crl_sign", "encipher_only", "decipher_only"], False)
        signs = x509.KeyUsage(key_cert_sign=True, **usage)
        own = x509.BasicConstraints(ca=True, path_length=None)
        self.ca.write_bytes(issue("ca", authority, "ca", authority, (own, True), (signs, True)))
        hosts = ["sts.amazonaws.com", "sts.us-east-1.amazonaws.com", "iam.amazonaws.com"]
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        leaf = folder / "aws.pem"
        form = serialization.PrivateFormat.PKCS8
        leaf.write_bytes(
            issue("aws", key, "ca", authority, (names, False))
            + key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        )
        return leaf

    def serve(self, client):
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096) or b"\r\n\r\n"
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with (
                self.tls.wrap_socket(client, server_side=True) as inside,
                socket.create_connection((self.sandbox.hostname, self.sandbox.port)) as sandbox,
            ):
                def back():
                    with contextlib.suppress(OSError):
                        while data := sandbox.recv(65536):
                            inside.sendall(data)
                        inside.shutdown(socket.SHUT_WR)

                threading.Thread(target=back, daemon=True).start()
                while data := inside.recv(65536):
                    sandbox.sendall(data)


class Place:
    """A sandbox, and a home with the profiles of its users."""

    def __init__(self, stack, *options):
        self.home = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ssm-mfa")))
        sandbox = subprocess.Popen(
            [str(EXAMPLES / "sandbox"), "--output", "json", "--unpaced", *options],
            stdout=subprocess.PIPE, start_new_session=True,
        )
        stack.callback(sandbox.wait)
        stack.callback(sandbox.terminate)
        self.facts = json.loads(sandbox.stdout.readline())
        self.url = self.facts["endpoint_url"]
        self.users = {user["name"]: user for user in self.facts["users"]}
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.config = ""
        for name, user in self.users.items():
            self.profile(
                f"{name}-keys", aws_access_key_id=user["access_key_id"],
                aws_secret_access_key=user["secret_access_key"],
            )
        self.profile("taro", source=None, mfa_serial=self.serial("taro"), **self.keys("taro"))
        self.profile("dev", role_arn=ROLE, source_profile="taro-keys", mfa_serial=self.serial("taro"))

    def as_aws(self, stack):
        """From now on programs reach the sandbox at AWS's own endpoints, which the AWS CLI's cache is
        limited to."""
        front = AsAws(stack, self.home, self.url)
        del self.env["AWS_ENDPOINT_URL"]
        self.env.update(HTTPS_PROXY=front.url, AWS_CA_BUNDLE=str(front.ca))
        return self

    def keys(self, name):
        user = self.users[name]
        return {
            "aws_access_key_id": user["access_key_id"],
            "aws_secret_access_key": user["secret_access_key"],
        }

    def serial(self, name):
        return self.users[name]["devices"][0]["serial"]

    def profile(self, name, **settings):
        lines = [f"{key} = {value}" for key, value in settings.items() if value is not None]
        self.config += "\n".join([f"[profile {name}]", *lines, "", ""])
        (self.home / ".aws").mkdir(exist_ok=True)
        (self.home / ".aws" / "config").write_text(self.config)

    def get(self, path, method="GET"):
        request = urllib.request.Request(f"{self.url}/sandbox/{path}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def code(self, name="taro"):
        return self.get("code?" + urllib.parse.urlencode({"serial": self.serial(name)})).strip()

    def requests(self, action=None):
        every = [json.loads(line) for line in self.get("requests").splitlines()]
        return [request for request in every if action in (None, request["action"])]

    def codes(self):
        """The number of requests with a code; none may repeat a code."""
        codes = [request["code"] for request in self.requests() if request["code"]]
        assert len(codes) == len(set(codes)), f"a code was sent twice: {self.requests()}"
        return len(codes)

    def run(self, *argv, terminal=True, env=None, **more):
        return Program(list(argv), {**self.env, **(env or {})}, terminal, **more)

    def answers(self, *argv, **more):
        """Runs a program that asks for the code once, types it, and returns the output."""
        program = self.run(*argv, **more)
        program.shows(PROMPT)
        program.type(self.code() + "\n")
        code, out, err = program.ends()
        assert code == 0, (argv, code, out, err, program.screen)
        assert program.screen.count(PROMPT) == 1, program.screen
        return out

    def quiet(self, *argv, **more):
        """Runs a program that must not prompt, without a terminal."""
        code, out, err = self.run(*argv, terminal=False, **more).ends()
        assert code == 0, (argv, code, out, err)
        return out


# ---- on terminals -------------------------------------------------------------------------------


def asks_once_and_only_on_the_terminal(stack):
    place = Place(stack)
    program = place.run(MFA, "login", "--profile", "taro")
    program.shows(PROMPT + place.serial("taro") + ": ")
    program.type(place.code() + "\n")
    code, out, err = program.ends()
    assert code == 0 and out.startswith("MFA session until 20") and err == "", (code, out, err)
    again = json.loads(place.quiet(MFA, "login", "--profile", "taro", "--output", "json"))
    assert again["source"] == "cache" and again["kind"] == "mfa", again
    status = json.loads(place.quiet(MFA, "status", "--profile", "taro", "--output", "json"))
    assert status["access_key_id"] == again["access_key_id"], status
    assert place.codes() == 1 and len(place.requests()) == 1, place.requests()
    role = json.loads(place.quiet(MFA, "login", "--profile", "taro", "--role-arn", ROLE, "--output", "json"))
    assert role["kind"] == "role" and place.codes() == 1, role
    place.quiet(MFA, "logout", "--profile", "taro")
    code, out, err = place.run(MFA, "status", "--profile", "taro", terminal=False).ends()
    assert code == 1 and "there is no session" in err, (code, out, err)


def asks_again_after_a_wrong_code(stack):
    place = Place(stack)
    program = place.run(MFA, "login", "--profile", "taro")
    program.shows(PROMPT)
    program.type("12 345\n")
    program.shows("six digits")
    program.shows(PROMPT, times=2)
    program.type("000000\n")
    program.shows("did not accept the code")
    program.shows(PROMPT, times=3)
    program.type(place.code() + "\n")
    code, out, err = program.ends()
    assert code == 0, (code, out, err, program.screen)
    assert place.codes() == 2, place.requests()


def leaves_the_bytes_of_a_proxy_command_alone(stack):
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def echo():
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(65536):
                peer.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    address = "127.0.0.1:%d" % listener.getsockname()[1]
    place = Place(stack, "--destination", address)
    argv = [str(EXAMPLES / "ssh_proxy"), "--profile", "taro", "--target", place.facts["instance"]]
    program = place.run(*argv, stdin=subprocess.PIPE)
    data = random.Random(1).randbytes(300_000)
    writer = threading.Thread(target=lambda: (program.process.stdin.write(data), program.process.stdin.flush()))
    writer.start()  # before the prompt appears, as ssh does
    program.shows(PROMPT)
    program.type(place.code() + "\n")
    back = program.process.stdout.read(len(data))
    writer.join(PATIENCE)
    assert back == data, f"{len(back)} bytes came back, not what was sent"
    program.process.stdin.close()
    program.process.stdin = None
    _, out, _ = program.ends()
    assert out == "", out


def finds_the_device(stack):
    users = ["ann=mfa/phone,u2f/key", "bob=GAHT12345678,mfa/bob", "eve=u2f/key"]
    place = Place(stack, "--user", "taro", *(f"--user={user}" for user in users))
    device = "arn:aws:iam::123456789012:mfa/"

    def login(name):
        return place.run(MFA, "login", "--mfa-serial", "auto", "--profile", f"{name}-keys")

    def code(serial):
        return place.get("code?" + urllib.parse.urlencode({"serial": serial})).strip() + "\n"

    program = login("ann")
    program.shows(f"Your MFA device is {device}phone")
    program.shows(PROMPT + device + "phone: ")
    program.type(code(device + "phone"))
    code_, out, err = program.ends()
    assert code_ == 0 and out.startswith("MFA session until 20") and err == "", (code_, out, err)

    program = login("bob")
    program.shows("Number of the one to use: ")
    assert f"1) GAHT12345678\r\n  2) {device}bob" in program.screen, program.screen
    program.type("2\n")
    program.shows(PROMPT + device + "bob: ")
    program.type(code(device + "bob"))
    assert program.ends()[0] == 0, program.screen

    code_, out, err = place.run(
        MFA, "login", "--mfa-serial", "auto", "--profile", "bob-keys", "--hide-code",
        "--duration", "1000", terminal=False,
    ).ends()
    assert code_ == 1 and "GAHT12345678, " + device + "bob" in err, (code_, out, err)
    code_, out, err = login("eve").ends()
    assert code_ == 1 and "passkey or security key" in err, (code_, out, err)

    listed = place.quiet(MFA, "--list-devices", "--profile", "ann-keys").splitlines()
    key = "arn:aws:iam::123456789012:u2f/user/ann/key"
    assert listed == [device + "phone", f"{key} (a passkey or security key: it does not work with STS)"], listed
    code_, out, err = place.run(MFA, "--list-devices", "--profile", "eve-keys", terminal=False).ends()
    assert code_ == 1, (code_, out, err)


def guesses_the_device_and_says_so(stack):
    place = Place(stack, "--no-iam")
    listed = json.loads(place.quiet(MFA, "--list-devices", "--profile", "taro", "--output", "json"))
    assert listed["guessed"] and listed["devices"] == [place.serial("taro")], listed
    program = place.run(MFA, "login", "--mfa-serial", "auto", "--profile", "taro-keys")
    program.shows("A GUESS from your user name: " + place.serial("taro"))
    program.shows(PROMPT)
    program.type(place.code() + "\n")
    assert program.ends()[0] == 0, program.screen


def says_what_to_do_without_a_terminal(stack):
    place = Place(stack)
    program = place.run(MFA, "login", "--profile", "taro", terminal=False)
    code, out, err = program.ends()
    assert code == 1 and out == "", (code, out)
    for way in ["--mfa-code", "SSM_TUNNEL_MFA_CODE", "mfa_process", "SSM_TUNNEL_ASKPASS", "mfa login"]:
        assert way in err, (way, err)
    assert place.requests() == []
    place.quiet(MFA, "login", "--profile", "taro", env={"SSM_TUNNEL_MFA_CODE": place.code()})
    place.quiet(MFA, "login", "--renew", "--profile", "taro", "--mfa-code", place.code())
    assert place.codes() == 2, place.requests()


def takes_codes_from_programs(stack):
    place = Place(stack)
    get = "import os, urllib.request as r; assert 'SSM_TUNNEL_MFA_CODE' not in os.environ; "
    get += f"print(r.urlopen('{place.url}/sandbox/code').read().decode())"
    place.profile("process", mfa_serial=place.serial("taro"), mfa_process=f'{sys.executable} -c "{get}"', **place.keys("taro"))
    place.quiet(MFA, "login", "--profile", "process")
    askpass = place.home / "askpass"
    askpass.write_text(f"#!/bin/sh\necho \"$1\" >'{place.home}/asked'\nexec {sys.executable} -c \"{get}\"\n")
    askpass.chmod(0o700)
    place.quiet(MFA, "login", "--renew", "--profile", "taro", env={"SSM_TUNNEL_ASKPASS": str(askpass)})
    assert (place.home / "asked").read_text().startswith(PROMPT + place.serial("taro"))
    askpass.write_text("#!/bin/sh\necho 'no display' >&2\nexit 1\n")
    failing = place.run(MFA, "login", "--renew", "--profile", "taro", terminal=False, env={"SSM_TUNNEL_ASKPASS": str(askpass)})
    code, _, err = failing.ends()
    assert code == 1 and "no display" in err, (code, err)
    assert place.codes() == 2, place.requests()


def leaves_the_terminal_as_it_was(stack):
    place = Place(stack)
    for hide in [[], ["--hide-code"]]:
        for how in ["Ctrl-C", signal.SIGTERM, signal.SIGHUP, "answer"]:
            argv = [MFA, "login", "--renew", "--profile", "taro", *hide]
            program = place.run(*argv)
            program.shows(PROMPT)
            echo = bool(program.settings()[3] & termios.ECHO)
            assert echo == (not hide), f"echo is {echo} with {hide}"
            if how == "Ctrl-C":
                program.type("\x03")
            elif how == "answer":
                program.type("918273\n")
                program.shows(PROMPT, times=2)
                program.type("\x04")
            else:
                program.process.send_signal(how)
            program.process.wait(PATIENCE)
            assert program.settings() == program.before, f"{how} with {hide} leaves other settings"
            code, _, err = program.ends()
            ended = {"Ctrl-C": -signal.SIGINT, "answer": 1}.get(how, -int(how) if isinstance(how, int) else None)
            assert code == ended, (how, hide, code, err)
            if hide:
                assert "918273" not in program.screen, program.screen


def two_programs_ask_once(stack):
    place = Place(stack)
    argv = [MFA, "login", "--profile", "taro", "--output", "json"]
    programs = [place.run(*argv) for _ in range(2)]

    def asking():
        return [program for program in programs if PROMPT in program.look()]

    first = eventually("a prompt", asking)[0]
    second = programs[1 - programs.index(first)]
    second.shows(f"(pid {first.process.pid}) is asking for the MFA code")
    first.type(place.code() + "\n")
    keys = set()
    for program in programs:
        code, out, err = program.ends()
        assert code == 0, (code, out, err)
        keys.add(json.loads(out)["access_key_id"])
    prompts = sum(program.screen.count(PROMPT) for program in programs)
    assert prompts == 1 and len(keys) == 1, (prompts, keys)
    assert len(place.requests("GetSessionToken")) == 1, place.requests()


def a_killed_program_lets_the_other_go_on(stack):
    place = Place(stack)
    argv = [MFA, "login", "--profile", "taro"]
    first = place.run(*argv)
    first.shows(PROMPT)
    second = place.run(*argv)
    second.shows("is asking for the MFA code")
    first.process.kill()
    second.shows(PROMPT)
    second.type(place.code() + "\n")
    code, out, err = second.ends()
    assert code == 0, (code, out, err)
    first.ends()
    assert place.codes() == 1, place.requests()


# ---- beside the AWS CLI -------------------------------------------------------------------------

IDENTITY = ["sts", "get-caller-identity", "--output", "json"]


def the_cli_reads_what_we_wrote(stack):
    place = Place(stack).as_aws(stack)
    direct = ["--strategy", "direct", "--cli-cache", "read-write"]
    place.answers(MFA, "login", "--profile", "dev", *direct)
    who = json.loads(place.quiet(AWS, *IDENTITY, "--profile", "dev"))
    assert who["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/dev/"), who
    assert place.codes() == 1 and len(place.requests("AssumeRole")) == 1, place.requests()


def we_read_what_the_cli_wrote(stack):
    place = Place(stack).as_aws(stack)
    place.answers(AWS, *IDENTITY, "--profile", "dev")
    session = json.loads(place.quiet(MFA, "login", "--profile", "dev", "--output", "json"))
    assert session["source"] == "cli_cache", session
    assert place.codes() == 1, place.requests()


def the_clis_cache_is_for_awss_own_endpoints(stack):
    place = Place(stack)
    cache = place.home / ".aws" / "cli" / "cache"
    # Written, a stand-in's session would pass for AWS's.
    direct = ["--strategy", "direct", "--cli-cache", "read-write"]
    place.answers(MFA, "login", "--profile", "dev", *direct)
    assert not cache.exists(), list(cache.iterdir())
    # Read, AWS's session would be sent to the stand-in.
    place.answers(AWS, *IDENTITY, "--profile", "dev")
    assert len(list(cache.iterdir())) == 1
    place.quiet(MFA, "logout", "--profile", "dev")
    place.quiet(MFA, "logout", "--profile", "dev", "--strategy", "direct")
    code, out, err = place.run(MFA, "login", "--profile", "dev", terminal=False).ends()
    assert code == 1 and "no terminal" in err, (code, out, err)


def the_cli_mixes_up_whose_session_it_is_and_we_do_not(stack):
    place = Place(stack, "--user", "taro", "--user", "hanako").as_aws(stack)
    place.profile("other", role_arn=ROLE, source_profile="hanako-keys", mfa_serial=place.serial("taro"))
    place.answers(AWS, *IDENTITY, "--profile", "dev")
    place.quiet(AWS, *IDENTITY, "--profile", "other")  # hanako's profile, taro's session
    assert len(place.requests("AssumeRole")) == 1, place.requests()
    code, out, err = place.run(MFA, "login", "--profile", "other", terminal=False).ends()
    assert code == 1 and "no terminal" in err, (code, out, err)
    # Nor our own sessions of the same role and device.
    place.answers(MFA, "login", "--profile", "dev")
    code, out, err = place.run(MFA, "login", "--profile", "other", terminal=False).ends()
    assert code == 1 and "no terminal" in err, (code, out, err)


def the_cli_asks_twice_for_a_short_session_and_we_once(stack):
    place = Place(stack).as_aws(stack)
    place.profile(
        "short", role_arn=ROLE, source_profile="taro-keys", mfa_serial=place.serial("taro"), duration_seconds=900,
    )
    place.answers(AWS, *IDENTITY, "--profile", "short")
    place.answers(AWS, *IDENTITY, "--profile", "short")
    assert place.codes() == 2, place.requests()
    # The CLI used the codes of this time step and the next; ours come from another sandbox.
    place = Place(stack).as_aws(stack)
    place.profile(
        "short", role_arn=ROLE, source_profile="taro-keys", mfa_serial=place.serial("taro"), duration_seconds=900,
    )
    place.answers(MFA, "login", "--profile", "short")
    place.quiet(MFA, "login", "--profile", "short")
    assert place.codes() == 1, place.requests()


def the_cli_never_asks_for_a_user_and_we_do(stack):
    place = Place(stack)
    start = ["ssm", "start-session", "--document-name", "AWS-StartSSHSession", "--target", place.facts["instance"]]
    program = place.run(AWS, *start, "--profile", "taro")
    code, out, err = program.ends()
    assert code != 0 and "explicit deny" in err and PROMPT not in program.screen, (code, err)
    place.answers(MFA, "login", "--profile", "taro")
    lines = place.quiet(MFA, "export", "--profile", "taro", "--format", "env").splitlines()
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    keys = {name: value.strip("'") for name, value in exported.items()}
    place.run(AWS, *start, terminal=False, env=keys).ends()  # it has no session-manager-plugin
    outcomes = [request["outcome"] for request in place.requests("StartSession")]
    assert outcomes == [{"error": "AccessDeniedException"}, "answered"], outcomes


def the_drop_in_acts_as_the_cli_did(stack):
    # A role that requires MFA itself, and one where only the account does: either way the CLI asks, and Systems
    # Manager accepts its session. The endpoint is a stand-in's, also for STS.
    for options, named in ((), {}), (("--role", "dev,no-mfa"), {"role_session_name": "jo"}):
        place = Place(stack, *options)
        place.profile(
            "used", role_arn=ROLE, source_profile="taro-keys", mfa_serial=place.serial("taro"), **named,
        )
        program = place.run(
            AWS, "ssm", "start-session", "--profile", "used", "--target", place.facts["instance"],
            "--document-name", "AWS-StartPortForwardingSession", "--parameters", "portNumber=9",
            env={"PATH": f"{EXAMPLES}:{os.environ['PATH']}", **{
                # Another user's session, which must not be used.
                "AWS_ACCESS_KEY_ID": "AKIAXXXXXXXXXXXXXXXX", "AWS_SECRET_ACCESS_KEY": "x" * 40,
            }},
        )
        program.shows(PROMPT)
        program.type(place.code() + "\n")
        lines = []
        while not lines or lines[-1] != "Waiting for connections...\n":
            lines.append(program.process.stdout.readline().decode())
            assert lines[-1], (lines, program.ends(), program.screen)
        os.killpg(program.process.pid, signal.SIGINT)
        code, out, err = program.ends()
        assert code == 0 and "Exiting session with sessionId: " in out, (code, lines, out, err)
        assert program.screen.count(PROMPT) == 1, program.screen
        assert place.codes() == 1 and len(place.requests("AssumeRole")) == 1, place.requests()
        calls = place.requests("StartSession") + place.requests("TerminateSession")
        assert [call["outcome"] for call in calls] == ["answered"] * 2, calls
        assert len({call["access_key_id"] for call in calls}) == 1, calls


def a_broken_cache_stops_the_cli_and_not_us(stack):
    place = Place(stack).as_aws(stack)
    place.answers(AWS, *IDENTITY, "--profile", "dev")
    for broken in ["{", '{"Credentials": {}}', '{"Credentials": 1}']:
        for file in (place.home / ".aws" / "cli" / "cache").iterdir():
            file.write_text(broken)
        code, _, err = place.run(AWS, *IDENTITY, "--profile", "dev", terminal=False).ends()
        assert code == 255, (broken, code, err)
    place.answers(MFA, "login", "--profile", "dev")
    own = [file for file in place.home.rglob("*.json") if ".aws" not in file.parts]
    assert own, "no session of ours was kept"
    for file in own:
        file.write_text("{")
    code, out, err = place.run(MFA, "login", "--profile", "dev", terminal=False).ends()
    assert code == 1 and "no terminal" in err, (code, out, err)
    assert place.codes() == 2, place.requests()


def the_cli_uses_us_as_its_credential_process(stack):
    place = Place(stack)
    place.profile("via", credential_process=f"{MFA} export --profile taro")
    out = place.answers(AWS, *IDENTITY, "--profile", "via")
    assert json.loads(out)["Arn"] == "arn:aws:iam::123456789012:user/taro", out
    place.quiet(AWS, *IDENTITY, "--profile", "via")
    assert place.codes() == 1, place.requests()


# ---- beside moto --------------------------------------------------------------------------------


def moto_finds_our_requests_well_formed_and_well_signed(stack):
    # Reserved by a socket that does not listen, beside which a server may bind its own.
    free = stack.enter_context(socket.socket())
    free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    home = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ssm-mfa")))
    log = open(home / "moto.log", "w")
    moto = subprocess.Popen(
        [str(VENV / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=log, stderr=log, start_new_session=True,
    )
    stack.callback(moto.wait)
    stack.callback(moto.terminate)

    def listens():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE):
            return True
        select.select([], [], [], 0.1)

    eventually("moto", listens)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(home), "AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }
    setup = {**env, "AWS_ACCESS_KEY_ID": "setup", "AWS_SECRET_ACCESS_KEY": "setup"}

    def aws(*argv):
        code, out, err = Program([AWS, "--output", "json", *argv], setup, terminal=False).ends()
        assert code == 0, (argv, err)
        return json.loads(out) if out else None

    aws("iam", "create-user", "--user-name", "taro")
    allow = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    aws("iam", "put-user-policy", "--user-name", "taro", "--policy-name", "all", "--policy-document", allow)
    key = aws("iam", "create-access-key", "--user-name", "taro")["AccessKey"]
    role = "arn:aws:iam::123456789012:role/dev"  # gap: it need not exist
    reset = urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(reset, timeout=PATIENCE).read()

    serial = "arn:aws:iam::123456789012:mfa/taro"
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    codes = iter(range(123456, 999999))  # no program sends one that another sent

    def ours(*more, **changed):
        argv = [MFA, "login", "--renew", "--mfa-serial", serial, "--mfa-code", str(next(codes)), *more]
        return Program(argv, {**env, **keys, **changed}, terminal=False).ends()

    code, out, err = ours("--output", "json")
    assert code == 0, (code, out, err)
    # Gap: any device and code are accepted, and the session is always the same.
    assert json.loads(out)["access_key_id"] == "AKIAIOSFODNN7EXAMPLE", out
    code, out, err = ours("--role-arn", role, "--strategy", "direct", "--output", "json")
    assert code == 0 and json.loads(out)["arn"].startswith("arn:aws:sts::123456789012:assumed-role/dev/"), (code, out, err)
    # The signature is checked. Gap: the refusal's code is where EC2 has it and STS does not, so that an
    # SDK for STS sees only the HTTP status. The CLI shows which code it is.
    wrong = {"AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"][::-1]}
    _, _, err = Program([AWS, *IDENTITY], {**env, **keys, **wrong}, terminal=False).ends()
    assert "SignatureDoesNotMatch" in err, err
    for more in [[], ["--role-arn", role, "--strategy", "direct"]]:
        code, out, err = ours(*more, **wrong)
        assert code == 1 and "HTTP status 403" in err and wrong["AWS_SECRET_ACCESS_KEY"] not in err, (code, out, err)
    # Gap: earlier sessions are unknown in this mode.
    code, out, err = ours("--role-arn", role)
    assert code == 1 and "HTTP status 403" in err, (code, out, err)


CHECKS = [
    asks_once_and_only_on_the_terminal,
    asks_again_after_a_wrong_code,
    leaves_the_bytes_of_a_proxy_command_alone,
    finds_the_device,
    guesses_the_device_and_says_so,
    says_what_to_do_without_a_terminal,
    takes_codes_from_programs,
    leaves_the_terminal_as_it_was,
    two_programs_ask_once,
    a_killed_program_lets_the_other_go_on,
    the_cli_reads_what_we_wrote,
    we_read_what_the_cli_wrote,
    the_clis_cache_is_for_awss_own_endpoints,
    the_cli_mixes_up_whose_session_it_is_and_we_do_not,
    the_cli_asks_twice_for_a_short_session_and_we_once,
    the_cli_never_asks_for_a_user_and_we_do,
    the_drop_in_acts_as_the_cli_did,
    a_broken_cache_stops_the_cli_and_not_us,
    the_cli_uses_us_as_its_credential_process,
    moto_finds_our_requests_well_formed_and_well_signed,
]


def main():
    wanted = sys.argv[2:]
    failed = []
    for check in CHECKS:
        if wanted and check.__name__ not in wanted:
            continue
        try:
            with contextlib.ExitStack() as stack:
                check(stack)
            print(f"ok: {check.__name__}", flush=True)
        except Exception as error:  # each check is reported, then the next one runs
            failed.append(check.__name__)
            print(f"FAILED: {check.__name__}: {type(error).__name__}: {error}", flush=True)
    if failed:
        sys.exit(f"mfa_peers: {len(failed)} failed: {', '.join(failed)}")


main()
