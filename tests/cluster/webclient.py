"""A client of the simulator's web services: id.twitch.tv and api.twitch.tv on one port, with TLS or without."""

import http.client
import json
import socket
import urllib.parse

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LISTEN = ("--http-listen", "127.0.0.1:0")


class Answer:
    """status, headers (lower case), body (bytes)."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json["message"]


class Web:
    """One connection after another, each kept while it may be; `tls` is an SSL context."""

    def __init__(self, sim, tls=None, timeout=10):
        self.sim, self.tls, self.timeout = sim, tls, timeout
        self.port = sim.https if tls else sim.http
        self.connection = (
            http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=tls)
            if tls
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        )

    def ask(self, method, path, body=None, **headers):
        """Headers as keywords: client_id=... is Client-Id."""
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        try:
            self.connection.request(method, path, body, named)
            return Answer(self.connection.getresponse())
        except BaseException:
            self.connection.close()
            raise

    def form(self, path, **fields):
        return self.ask(
            "POST", path, urllib.parse.urlencode(fields), content_type="application/x-www-form-urlencoded"
        )

    def validate(self, token, scheme="OAuth"):
        return self.ask("GET", "/oauth2/validate", authorization=f"{scheme} {token}")

    def refresh(self, client, token, **more):
        return self.form(
            "/oauth2/token", client_id=client, grant_type="refresh_token", refresh_token=token, **more
        )

    def device(self, client, scopes="chat:read chat:edit"):
        return self.form("/oauth2/device", client_id=client, scopes=scopes)

    def poll(self, client, code, **more):
        return self.form(
            "/oauth2/token", client_id=client, grant_type=DEVICE_GRANT, device_code=code, scopes="", **more
        )

    def app_token(self, client, secret):
        return self.form(
            "/oauth2/token", client_id=client, client_secret=secret, grant_type="client_credentials"
        )

    def users(self, token, client, query=""):
        return self.ask("GET", f"/helix/users{query}", authorization=f"Bearer {token}", client_id=client)

    def id_of(self, token, client, login):
        return self.users(token, client, f"?login={login}").json["data"][0]["id"]

    def say(self, token, client, channel_id, sender_id, text, **more):
        body = {"broadcaster_id": channel_id, "sender_id": sender_id, "message": text, **more}
        return self.ask("POST", "/helix/chat/messages", json.dumps(body), authorization=f"Bearer {token}",
                        client_id=client, content_type="application/json")  # fmt: skip


def raw(port, request, tls=None, timeout=10):
    """Send bytes, and read until the server closes; what came, or raises TimeoutError."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as plain:
        sock = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        got = b""
        try:
            sock.sendall(request)
            while data := sock.recv(65536):
                got += data
        except (ConnectionError, OSError) as e:
            if isinstance(e, TimeoutError):
                raise
        return got
