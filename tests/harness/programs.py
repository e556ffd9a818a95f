"""The programs, and a place to run them: a sandbox and a home folder of their own.

`BIN` is the folder of the built programs: either one program `ssm-tunnel`, whose subcommands they
are, or the examples. Nothing of the caller's AWS settings reaches them.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from checks import PATIENCE, eventually

BIN = pathlib.Path(os.environ["BIN"]).resolve()
SUBCOMMANDS = {
    "port_forward": "forward",
    "ssh_proxy": "ssh-proxy",
    "session-manager-plugin": "plugin",
    "rdp": "rdp",
    "mfa": "mfa",
    "doctor": "doctor",
    "sandbox": "sandbox",
}
TARGET = "i-0123456789abcdef0"
ACCOUNT = "123456789012"
PORT_DOCUMENT = "AWS-StartPortForwardingSession"
REMOTE_DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"


def program(name):
    """The command line of a program, without arguments."""
    one = BIN / "ssm-tunnel"
    if name in SUBCOMMANDS and one.exists():
        return [str(one), SUBCOMMANDS[name]]
    places = [BIN / name, BIN / "examples" / name]
    found = next((place for place in places if place.exists()), None)
    assert found, f"{name} is not built in {BIN}"
    return [str(found)]


def executable(name, folder):
    """A program as one file in `folder`, for callers that cannot pass a subcommand."""
    command = program(name)
    path = pathlib.Path(folder) / name
    if not path.exists():
        quoted = " ".join(f'"{word}"' for word in command)
        path.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
        path.chmod(0o755)
    return path


class Result:
    """How a program ended, and what it printed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out + self.err

    def __str__(self):
        return f"exit code {self.code}\n{self.text.strip()}"

    def says(self, *words):
        """Every word is in its text, and no panic."""
        assert "panicked" not in self.text, self
        for word in words:
            assert word in self.text, f"{word!r} is missing\n{self}"
        return self

    def says_nothing_of(self, *words):
        for word in words:
            assert word not in self.text, f"{word!r} is there\n{self}"
        return self

    def ended_with(self, code):
        assert self.code == code, f"not exit code {code}\n{self}"
        return self


class Running:
    """A running program; its lines are read as they come."""

    def __init__(self, argv, env, **options):
        self.lines = []
        options = {"stdin": subprocess.DEVNULL, **options}
        self.process = subprocess.Popen(
            argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace"))

    @property
    def text(self):
        return "".join(self.lines)

    def shows(self, word):
        """Waits for a word in its output."""

        def there():
            ended = self.process.poll() is not None
            if ended:
                self.reader.join(PATIENCE)
            assert word in self.text or not ended, (
                f"ended with {self.process.returncode} before {word!r}\n{self.text}"
            )
            return word in self.text

        eventually(f"{word!r} in the output", there)

    def ends(self, with_signal=None):
        """Its result, after a signal if one is given."""
        if with_signal is not None:
            self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return Result(code, self.text, "")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Place(contextlib.ExitStack):
    """A home folder, and a sandbox unless `sandbox` is False."""

    def __init__(self, *options, sandbox=True):
        super().__init__()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="ssm-tests-")))
        self.home = self.folder / "home"
        (self.home / ".aws").mkdir(parents=True)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "LANG": "C.UTF-8",
        }
        self.url = None
        if sandbox:
            self._start(options)

    def _start(self, options):
        started = subprocess.Popen(
            [*program("sandbox"), "--output", "json", *options],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )
        self.callback(started.stdout.close)
        self.callback(started.wait)
        self.callback(started.terminate)
        self.facts = json.loads(started.stdout.readline())
        self.url = self.facts["endpoint_url"]
        users = self.facts["users"]
        self.keys = [(user["access_key_id"], user["secret_access_key"]) for user in users]
        self.serial = users[0]["devices"][0]["serial"] if users[0]["devices"] else None

    # Settings

    def config(self, text, encoding="utf-8"):
        (self.home / ".aws/config").write_bytes(self._filled(text).encode(encoding))

    def credentials(self, text, encoding="utf-8"):
        (self.home / ".aws/credentials").write_bytes(self._filled(text).encode(encoding))

    def _filled(self, text):
        """URL, KEY, SECRET, SERIAL and FOLDER in capitals between dollar signs are the place's own."""
        facts = {"URL": self.url, "FOLDER": str(self.folder)}
        if self.url:
            facts |= {"KEY": self.keys[0][0], "SECRET": self.keys[0][1], "SERIAL": self.serial}
        for name, value in facts.items():
            text = text.replace(f"${name}$", value or "")
        return text

    def key_variables(self, user=0):
        """Keys and endpoint in the environment, no files."""
        key, secret = self.keys[user]
        return {
            "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": self.url,
        }

    def script(self, name, text):
        """A shell script of this place."""
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + self._filled(text))
        path.chmod(0o755)
        return path

    # Programs

    def run(self, name, *arguments, env=None, stdin=b"", timeout=PATIENCE, **options):
        argv = [*program(name), *map(str, arguments)]
        return self.execute(argv, env=env, stdin=stdin, timeout=timeout, **options)

    def execute(self, argv, env=None, stdin=b"", timeout=PATIENCE, **options):
        ended = subprocess.run(
            argv, env={**self.env, **(env or {})}, input=stdin, capture_output=True, timeout=timeout,
            **options,
        )
        return Result(
            ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
        )

    def start(self, name, *arguments, env=None, **options):
        argv = [*program(name), *map(str, arguments)]
        running = Running(argv, {**self.env, **(env or {})}, **options)
        self.callback(running.stop)
        return running

    def forward(self, *arguments, env=None, **options):
        """A tunnel to port 9 in which `true` runs."""
        command = [TARGET, "--port-number", "9", *arguments, "--", "true"]
        return self.run("port_forward", *command, env=env, **options)

    def forwards(self, *arguments, env=None, key=None, **options):
        """Checks that a tunnel works: one session, started and ended with the same credentials, those of `key`."""
        before = len(self.requests("StartSession"))
        result = self.forward(*arguments, env=env, **options).ended_with(0)
        result.says_nothing_of("panicked")
        starts = self.requests("StartSession")[before:]
        assert [it["outcome"] for it in starts] == ["answered"], f"{starts}\n{result}"
        ends = self.requests("TerminateSession")
        assert ends and ends[-1]["outcome"] == "answered", f"{ends}\n{result}"
        used = starts[0]["access_key_id"]
        assert ends[-1]["access_key_id"] == used, f"{starts} {ends}"
        if key is not None:
            assert used == key, f"signed with {used}, not {key}\n{result}"
        assert all(it["Status"] == "Terminated" for it in self.sessions()), self.sessions()
        return result

    def drop_in(self, session, profile="", env=None, endpoint=None):
        """session-manager-plugin as the AWS CLI runs it, with what StartSession answered."""
        given = {**(env or {}), "AWS_SSM_START_SESSION_RESPONSE": json.dumps(session)}
        request = json.dumps({"Target": TARGET})
        arguments = ["AWS_SSM_START_SESSION_RESPONSE", "us-east-1", "StartSession", profile, request]
        return self.start("session-manager-plugin", *arguments, endpoint or self.url, env=given)

    # The sandbox

    def control(self, path, method="GET", **parameters):
        query = urllib.parse.urlencode(parameters)
        url = f"{self.url}/sandbox/{path}" + (f"?{query}" if query else "")
        request = urllib.request.Request(url, method=method)
        # Not through a proxy of the caller's.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=PATIENCE).read().decode()

    def code(self):
        return self.control("code").strip()

    def requests(self, action=None):
        all = [json.loads(line) for line in self.control("requests").splitlines()]
        return [it for it in all if action in (None, it["action"])]

    def sessions(self):
        return [json.loads(line) for line in self.control("sessions").splitlines()]

    def refuse(self, action, code, message):
        """Refuses the next call of this action with this error."""
        self.control("fault", "POST", action=action, kind="refuse", code=code, message=message)

    def call(self, action, request, user=0, endpoint=None, more=()):
        """One signed call of Systems Manager, by curl."""
        key, secret = self.keys[user]
        argv = [
            "curl", "-sS", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:ssm", "--user", f"{key}:{secret}",
            "-H", f"X-Amz-Target: AmazonSSM.{action}", "-H", "Content-Type: application/x-amz-json-1.1",
            *more, "-d", json.dumps(request), f"{endpoint or self.url}/",
        ]
        return json.loads(self.execute(argv).ended_with(0).out)

    def start_session(self, **options):
        parameters = {"portNumber": ["9"], "localPortNumber": ["0"]}
        request = {"Target": TARGET, "DocumentName": PORT_DOCUMENT, "Parameters": parameters}
        session = self.call("StartSession", request, **options)
        assert session.get("TokenValue"), session
        return session


def resident(pid):
    """A process's resident memory in MB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM
