"""cryptography>=42
cryptography>=45
"""

import datetime

from cryptography import exceptions, x509
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec


def use():
    fernet = Fernet(b"0" * 43 + b"=")
    try:
        fernet.decrypt(b"no")
    except InvalidToken as error:
        said = type(error).__name__
    code = hmac.HMAC(b"key", hashes.SHA256())
    code.update(b"text")
    try:
        code.verify(b"wrong")
    except exceptions.InvalidSignature:
        said += " bad"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.test")])
    day = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(day).not_valid_after(day).public_key(key.public_key())
    found = builder.sign(key, hashes.SHA256()).subject.rfc4514_string()
    return f"{fernet.decrypt(fernet.encrypt(b'a'))} {found} {said}"
