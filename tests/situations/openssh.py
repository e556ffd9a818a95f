"""OpenSSH over `ssh_proxy`, as in users' configurations."""

import filecmp
import os
import pathlib
import socket
import subprocess

from checks import PATIENCE, check, equal, eventually
from programs import TARGET, Place, executable

WEB, OFFLINE = "i-0ccccccccccccccc3", "i-0eeeeeeeeeeeeeee5"


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


class SshPlace(Place):
    """A place with an sshd on loopback, and a configuration whose hosts lead there through tunnels."""

    def __init__(self):
        super().__init__("--no-mfa", "--unpaced", "--instance", f"{WEB},name=web-1")
        self.config("[default]\nregion = us-east-1\nendpoint_url = $URL$\n")
        self.credentials("[default]\naws_access_key_id=$KEY$\naws_secret_access_key=$SECRET$\n")
        sshd, ssh = self.folder / "sshd", self.home / ".ssh"
        for folder in (sshd, ssh):
            folder.mkdir(mode=0o700)
        for key in (sshd / "host", ssh / "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with socket.create_server(("127.0.0.1", 0)) as chosen:
            self.port = chosen.getsockname()[1]
        (sshd / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {sshd}/host\nAuthorizedKeysFile {ssh}/id.pub\n"
            "PidFile none\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\nPermitRootLogin yes\n"
        )
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", sshd / "config"], stderr=subprocess.DEVNULL)
        self.callback(server.wait)
        self.callback(server.terminate)
        eventually("sshd", lambda: listens(self.port))
        proxy = executable("ssh_proxy", self.folder)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        self.ssh_config = ssh / "config"
        self.ssh_config.write_text(f"""Host *
  User {user}
  Port {self.port}
  IdentityFile {ssh}/id
  StrictHostKeyChecking no
  UserKnownHostsFile {self.folder}/known
  LogLevel ERROR
Host i-* mi-*
  ProxyCommand {proxy} --target %h --port-number %p
Host web-*
  ProxyCommand sh -c "{proxy} --target %h --port-number %p --profile default"
Host alias
  HostName {TARGET}
  ProxyCommand "{proxy}" %h --port-number %p
Match host tagged exec "test -x {proxy}"
  ProxyCommand {proxy} --target my-windows-box --port-number %p
Host muxed
  HostName {TARGET}
  ProxyCommand {proxy} --target %h --port-number %p
  ControlMaster auto
  ControlPath {self.folder}/cm-%C
  ControlPersist 20s
Host jump
  HostName {TARGET}
  ProxyCommand {proxy} --target %h --port-number %p
Host inner
  HostName 127.0.0.1
  ProxyJump jump
Host offline
  HostName {OFFLINE}
  ProxyCommand {proxy} --target %h --port-number %p
""")

    def ssh(self, *arguments, **options):
        return self.tool("ssh", *arguments, **options)

    def tool(self, name, *arguments, **options):
        argv = [name, "-F", str(self.ssh_config), *map(str, arguments)]
        return self.execute(argv, timeout=2 * PATIENCE, **options)


@check
def every_way_to_name_a_host_reaches_it():
    with SshPlace() as at:
        for host in (TARGET, "web-1", "alias", "tagged", "inner"):
            result = at.ssh(host, "echo", "hello").ended_with(0)
            equal(result.out, "hello\n", host)
        result = at.ssh("alias", "echo $USER; exit 7").ended_with(7)
        assert result.out.strip(), result
        at.ssh("-o", "ConnectTimeout=30", "alias", "true").ended_with(0)


@check
def a_control_master_serves_several_commands_in_one_session():
    with SshPlace() as at:
        for word in ("one", "two"):
            equal(at.ssh("muxed", "echo", word).ended_with(0).out, word + "\n")
        equal(len(at.requests("StartSession")), 1)
        at.ssh("-O", "exit", "muxed").ended_with(0)
        eventually("the session's end", lambda: [it["Status"] for it in at.sessions()] == ["Terminated"])


@check
def files_arrive_whole_with_every_tool():
    with SshPlace() as at:
        source = at.folder / "f"
        source.write_bytes(os.urandom(3_000_000))
        copies = iter(at.folder / f"copy-{number}" for number in range(9))

        def arrives(copy, run):
            run(copy).ended_with(0)
            assert filecmp.cmp(source, copy, shallow=False), f"{copy} differs"

        arrives(next(copies), lambda to: at.tool("scp", source, f"{TARGET}:{to}"))
        arrives(next(copies), lambda to: at.tool("scp", "-O", source, f"alias:{to}"))
        arrives(next(copies), lambda to: at.tool("scp", f"alias:{source}", to))
        arrives(next(copies), lambda to: at.tool("sftp", "-b", "-", "alias", stdin=f"get {source} {to}\n".encode()))
        remote = f"ssh -F {at.ssh_config}"
        arrives(next(copies), lambda to: at.execute(["rsync", "-a", "-e", remote, str(source), f"alias:{to}"]))
        counted = at.ssh("alias", "wc -c", stdin=source.read_bytes()).ended_with(0)
        equal(counted.out.strip(), str(source.stat().st_size))


@check
def git_clones_through_the_tunnel():
    with SshPlace() as at:
        git = ["git", "-c", "user.email=a@b", "-c", "user.name=c"]
        at.execute(["git", "init", "-q", f"{at.folder}/repo"]).ended_with(0)
        at.execute([*git, "-C", f"{at.folder}/repo", "commit", "-q", "--allow-empty", "-m", "the first"]).ended_with(0)
        env = {"GIT_SSH_COMMAND": f"ssh -F {at.ssh_config}"}
        at.execute([*git, "clone", "-q", f"alias:{at.folder}/repo", f"{at.folder}/clone"], env=env).ended_with(0)
        log = at.execute(["git", "-C", f"{at.folder}/clone", "log", "--format=%s"]).ended_with(0)
        equal(log.out, "the first\n")


@check
def a_closed_port_and_an_unknown_machine_end_with_255():
    with SshPlace() as at:
        at.ssh("-p", "1", TARGET, "true").ended_with(255)
        at.ssh("offline", "true").ended_with(255).says(OFFLINE)
        eventually("no session is left", lambda: all(it["Status"] == "Terminated" for it in at.sessions()))


@check
def a_closed_standard_input_ends_the_command():
    with SshPlace() as at:
        equal(at.ssh("alias", "cat", stdin=b"").ended_with(0).out, "")
