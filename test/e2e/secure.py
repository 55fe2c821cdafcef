"""A cluster of real processes with TLS, a token, certificates of clients: what tests of it share.

Certificates are made for the test by the program openssl.
"""
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import unittest

import cluster
import program

TOKEN = "a-word-that-nobody-else-knows"
CERTIFICATES = r"""
set -e
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
authority() { openssl req -x509 $key -keyout $1.key -out $1.pem -subj /CN=$1 -days 2; }
identity() { openssl req $key -keyout $1.key -out $1.csr -subj /CN=$1
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > $1.ext
    openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -out $1.pem -days 2 -extfile $1.ext; }
authority ca; authority other-ca; identity machine ca; identity stranger other-ca
"""


class SecureCluster(cluster.Cluster):
    """One whose REST has TLS, or a token, or both."""

    def __init__(self, directory, context=None, token=None, **options):
        self.context, self.token = context, token
        super().__init__(directory, **options)

    def request(self, port, method, path, body=None, limit_s=20, token=None):
        """Status and text."""
        if self.context is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=limit_s)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=limit_s, context=self.context)
        token = token or self.token
        try:
            connection.request(method, path, body=body, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _leader(self):
        daemon = self.job_managers[0]
        try:
            return daemon if self.request(daemon.port, "GET", "/v1/overview")[0] == 200 else None
        except (OSError, http.client.HTTPException):
            return None

    def ask(self, method, path, body=None, limit_s=cluster.LIMIT_S):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        status, text = self.request(self.rest_ports[0], method, path, body, limit_s)
        if status >= 400:
            raise cluster.Refused(status, text.decode(errors="replace"))
        return json.loads(text) if text else None


class SecureTest(program.ProgramTest):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            if os.environ.get("CI") == "true":
                raise AssertionError("openssl not found")
            print("SKIPPED: openssl not found", file=sys.stderr, flush=True)
            raise unittest.SkipTest("openssl not found")

    def setUp(self):
        super().setUp()
        self.keys = self.directory / "keys"
        self.keys.mkdir()
        self.token_file = self.keys / "token"
        self.write_secret(self.token_file, TOKEN)

    @staticmethod
    def write_secret(path, text, mode=0o600):
        path.write_text(f"{text}\n")
        path.chmod(mode)

    def make_certificates(self):
        subprocess.run(["bash", "-c", CERTIFICATES], cwd=self.keys, check=True, timeout=60, capture_output=True)

    def tls(self, name="machine", mutual=False):
        return {"security.ssl.enabled": "true", "security.ssl.cert": self.keys / f"{name}.pem",
                "security.ssl.key": self.keys / f"{name}.key", "security.ssl.ca": self.keys / "ca.pem",
                "security.ssl.mutual": str(mutual).lower()}

    def context(self, name=None):
        context = ssl.create_default_context(cafile=self.keys / "ca.pem")
        if name is not None:
            context.load_cert_chain(self.keys / f"{name}.pem", self.keys / f"{name}.key")
        return context

    def start_cluster(self, **options):
        one = SecureCluster(self.directory, **options)
        self.addCleanup(one.close)
        return one
