"""bcrypt>=4.0"""

import bcrypt


def use():
    salt = b"$2b$04$abcdefghijklmnopqrstuu"
    return bcrypt.hashpw(b"a", salt).decode()
