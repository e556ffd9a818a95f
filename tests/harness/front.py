"""A TLS front with a certificate authority of its own, as a proxy that inspects has one."""

import socket
import ssl
import subprocess
import threading


class TlsFront:
    """Passes TLS on to `url`. `ca` is the file to trust, `url` where it listens."""

    def __init__(self, folder, url):
        self.ca = folder / "ca.pem"
        key, request, certificate = folder / "s.key", folder / "s.csr", folder / "s.pem"
        (folder / "extensions").write_text("subjectAltName=DNS:localhost\n")
        for line in (
            f"req -x509 -newkey rsa:2048 -nodes -keyout {folder}/ca.key -out {self.ca} -days 2 -subj /CN=corp-ca",
            f"req -newkey rsa:2048 -nodes -keyout {key} -out {request} -subj /CN=localhost",
            f"x509 -req -in {request} -CA {self.ca} -CAkey {folder}/ca.key -CAcreateserial -days 2"
            f" -extfile {folder}/extensions -out {certificate}",
        ):
            subprocess.run(["openssl", *line.split()], check=True, capture_output=True)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate, key)
        self.behind = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                tcp, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(tcp,), daemon=True).start()

    def _serve(self, tcp):
        try:
            inside = self.context.wrap_socket(tcp, server_side=True)
            outside = socket.create_connection(self.behind)
        except OSError:
            return
        threading.Thread(target=self._copy, args=(inside, outside), daemon=True).start()
        self._copy(outside, inside)

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
