import cryptography
import me
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, hmac


def run(turn):
    key = Fernet.generate_key()
    text = Fernet(key).decrypt(Fernet(key).encrypt(me.NAME.encode()))
    mac = hmac.HMAC(b"k" * 16, hashes.SHA256())
    mac.update(text)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, me.NAME)])
    return f"{cryptography.__version__} {mac.finalize().hex()[:8]} {name.rfc4514_string()}"
