"""pycryptodome>=3.18"""

from Crypto.Cipher import AES
from Crypto.Hash import SHA256


def use():
    cipher = AES.new(b"k" * 16, AES.MODE_GCM, nonce=b"n" * 12)
    data, tag = cipher.encrypt_and_digest(b"text")
    return f"{data.hex()} {tag.hex()} {SHA256.new(b'a').hexdigest()[:8]}"
