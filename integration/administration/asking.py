"""Requests from inside of a machine, and a certificate for them."""

from __future__ import annotations

from integration.server.machine import Machine
from integration.server.programs import system_python

HOST = "hello.domain.org"
SERVED = f"{HOST} is served by mod_wsgi_van\n"

# Which status and body a request gets inside of the machine; CA "" asks without HTTPS.
_ASK = """
import http.client, socket, ssl, sys
host, ca, path = sys.argv[1:4]
connection = http.client.HTTPConnection("127.0.0.1", 443 if ca else 80, timeout=60)
if ca:
    context = ssl.create_default_context(cafile=ca if ca != "any" else None)
    if ca == "any":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(sys.argv[4:] or ["http/1.1"])
    plain = socket.create_connection(("127.0.0.1", 443), 60)
    connection.sock = context.wrap_socket(plain, server_hostname=host)
if ca and connection.sock.selected_alpn_protocol() == "h2":
    sys.exit(print("HTTP/2"))
connection.request("GET", path, headers={"Host": host})
answer = connection.getresponse()
print(answer.status, answer.headers.get("Location") or answer.read().decode(), end="")
"""

# By an authority of the test's own, as strictly as Python 3.13 wants it (RFC 5280).
CERTIFY = """
mkdir -p /srv/ca && cd /srv/ca
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test \
    -addext keyUsage=critical,keyCertSign -out ca.pem -keyout ca.key 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=domain.org \
    -out request -keyout key.pem 2>/dev/null
printf 'subjectAltName=DNS:domain.org,DNS:*.domain.org\\nauthorityKeyIdentifier=keyid' > names
openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
    -out {certificate} 2>/dev/null
"""


def ask(machine: Machine, host: str = HOST, ca: str = "", path: str = "/", *alpn: str) -> str:
    """Status and body, or where a redirect leads; ``alpn``: what the client can speak."""
    done = machine.run(system_python(), "-c", _ASK, host, ca, path, *alpn)
    assert done.returncode == 0, done.stdout
    return done.stdout
