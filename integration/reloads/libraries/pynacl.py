"""pynacl>=1.5"""

import nacl.exceptions
import nacl.secret


def use():
    box = nacl.secret.SecretBox(b"k" * 32)
    try:
        box.decrypt(b"n" * 60)
    except nacl.exceptions.CryptoError as error:
        return f"{box.decrypt(box.encrypt(b'a'))} {error}"
