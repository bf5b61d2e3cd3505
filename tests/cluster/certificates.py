"""A private certificate authority, and a server certificate of it for localhost."""

import subprocess
from pathlib import Path

# Python from 3.13 on, among others, takes no certificate without these (X509_V_FLAG_X509_STRICT).
CA_EXTENSIONS = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
SERVER_EXTENSIONS = """\
subjectAltName=DNS:localhost
keyUsage=critical,digitalSignature
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


class Certificates:
    """Files: `ca` to verify with; `cert` and `key` of a server called localhost."""

    def __init__(self, directory):
        directory = Path(directory)
        directory.mkdir(exist_ok=True)
        self.ca, ca_key = directory / "ca.pem", directory / "ca.key"
        self.cert, self.key = directory / "server.pem", directory / "server.key"
        request, extensions = directory / "server.csr", directory / "server.ext"
        extensions.write_text(SERVER_EXTENSIONS)
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._openssl(
            "req", "-x509", *new, *CA_EXTENSIONS, "-days", "2", "-subj", "/CN=Test CA",
            "-keyout", ca_key, "-out", self.ca,
        )  # fmt: skip
        self._openssl("req", *new, "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
            "-days", "2", "-extfile", extensions, "-out", self.cert,
        )  # fmt: skip

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=30)

    def redis_options(self, port):
        return [
            "--tls-port", port, "--tls-cert-file", self.cert, "--tls-key-file", self.key,
            "--tls-ca-cert-file", self.ca, "--tls-auth-clients", "no",
        ]  # fmt: skip
