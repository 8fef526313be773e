"""argon2-cffi-bindings>=21.2 argon2-cffi>=21.2"""

import argon2


def use():
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    try:
        hasher.verify(hasher.hash("a"), "b")
    except argon2.exceptions.VerifyMismatchError:
        return str(hasher.verify(hasher.hash("a"), "a"))
