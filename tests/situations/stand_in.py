"""The sandbox with other tools: the AWS CLI, shells, curl."""

import json
import os
import shutil

from checks import check, equal
from programs import ACCOUNT, TARGET, Place, Running, program

AWS = os.environ["AWS"]


def aws(at, *arguments):
    result = at.execute([AWS, "--output", "json", *arguments], env=at.key_variables())
    return json.loads(result.ended_with(0).out)


def code_of(at, *arguments):
    result = at.execute([AWS, *arguments], env=at.key_variables())
    assert result.code, result
    return result.err.split("(", 1)[1].split(")", 1)[0]


@check
def the_aws_cli_lists_sessions():
    with Place("--no-mfa") as at:
        first, second = (at.start_session()["SessionId"] for _ in range(2))
        aws(at, "ssm", "terminate-session", "--session-id", first)
        active = aws(at, "ssm", "describe-sessions", "--state", "Active")["Sessions"]
        equal([it["SessionId"] for it in active], [second])
        equal(active[0]["Owner"], f"arn:aws:iam::{ACCOUNT}:user/taro")
        history = aws(at, "ssm", "describe-sessions", "--state", "History", "--filters", f"key=Target,value={TARGET}")
        equal([(it["SessionId"], it["Status"]) for it in history["Sessions"]], [(first, "Terminated")])
        # The CLI joins the pages.
        at.start_session()
        pages = aws(at, "ssm", "describe-sessions", "--state", "Active", "--page-size", "1")["Sessions"]
        equal(len(pages), 2)
        refused = ("--filters", "key=Owner,value=x", "key=Status,value=Sleeping")
        equal(code_of(at, "ssm", "describe-sessions", "--state", "Active", *refused), "ValidationException")


@check
def the_aws_cli_lists_instances():
    other = "i-0bbbbbbbbbbbbbbb2"
    with Place("--no-mfa", "--instance", f"{other},name=web-1,stopped") as at:
        def found(*filters):
            more = ("--filters", *filters) if filters else ()
            reservations = aws(at, "ec2", "describe-instances", *more)["Reservations"]
            return [it for reservation in reservations for it in reservation["Instances"]]

        equal([it["InstanceId"] for it in found()], [TARGET, other])
        (web,) = found("Name=tag:Name,Values=web-*")
        equal((web["InstanceId"], web["State"]["Name"]), (other, "stopped"))
        assert {"Key": "Name", "Value": "web-1"} in web["Tags"], web
        (running,) = found("Name=instance-state-name,Values=pending,running")
        equal((running["InstanceId"], running["Platform"]), (TARGET, "windows"))
        equal(found("Name=instance-id,Values=i-0"), [])
        missing = ("--instance-ids", "i-0123456789abcdef9")
        equal(code_of(at, "ec2", "describe-instances", *missing), "InvalidInstanceID.NotFound")


@check
def instances_and_sessions_are_denied_without_mfa():
    with Place() as at:
        equal(code_of(at, "ec2", "describe-instances"), "UnauthorizedOperation")
        equal(code_of(at, "ssm", "describe-sessions", "--state", "Active"), "AccessDeniedException")


@check
def every_session_document_starts_a_session():
    with Place("--no-mfa") as at:
        command = {"command": ["uptime"]}
        for document, parameters in (
            (None, {}),
            ("SSM-SessionManagerRunShell", {}),
            ("AWS-StartInteractiveCommand", command),
            ("AWS-StartNonInteractiveCommand", command),
        ):
            request = {"Target": TARGET, "Parameters": parameters}
            if document:
                request["DocumentName"] = document
            answer = at.call("StartSession", request)
            equal(sorted(answer), ["SessionId", "StreamUrl", "TokenValue"], str(answer))
        unknown = at.call("StartSession", {"Target": TARGET, "DocumentName": "No-Such-Document"})
        equal(unknown["__type"], "InvalidDocument")


@check
def the_printed_environment_pastes_into_every_shell():
    with Place(sandbox=False) as at:
        started = Running([*program("sandbox"), "--no-mfa"], at.env)
        at.callback(started.stop)
        started.shows("/sandbox/'")
        asked = "echo $AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY\n"
        expected = [
            line.split("=", 1)[1].strip() for line in started.lines
            if line.startswith(("export AWS_ENDPOINT_URL=", "export AWS_ACCESS", "export AWS_SECRET"))
        ]
        equal(len(expected), 3, started.text)
        for shell in ("bash", "zsh", "fish"):
            assert shutil.which(shell), f"{shell} is not installed"
            # Interactively, where zsh does not read comments.
            quiet = {"bash": ["--norc"], "zsh": ["-f", "-i"], "fish": ["--no-config"]}[shell]
            result = at.execute([shell, *quiet], stdin=(started.text + asked).encode()).ended_with(0)
            assert " ".join(expected) in result.out, f"{shell}\n{result}"
            for complaint in ("not found", "unknown", "Unknown", "error", "no matches"):
                assert complaint not in result.text, f"{shell}\n{result}"


@check
def powershell_gets_its_own_form():
    with Place(sandbox=False) as at:
        started = Running([*program("sandbox"), "--no-mfa", "--shell", "powershell"], at.env)
        at.callback(started.stop)
        started.shows("how scripts steer it")
        for line in started.text.splitlines():
            assert line.startswith(("$Env:AWS_", "# ")), line
            assert not line.startswith("$") or line.count("'") == 2, line


@check
def a_new_cell_at_resume_session_is_followed():
    for kind in ("same", "new-cell", "empty", "absent"):
        with Place("--no-mfa", "--resume-url", kind) as at:
            tunnel = at.start("port_forward", TARGET, "--port-number", "9", "--output", "json", env=at.key_variables())
            tunnel.shows('"event":"ready"')
            at.control("cut", "POST")
            tunnel.shows('"event":"resumed"')
            opened = [it["outcome"] for it in at.requests("OpenDataChannel")]
            equal(opened, ["answered", "answered"], f"{kind}\n{tunnel.text}")
