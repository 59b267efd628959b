"""Counter-based random draws: each is a function of its name alone, never of what was drawn before.

So the number of workers, the order of work and a resume after a kill change nothing.
"""

import hashlib

import numpy as np

Key = int | str


def derive_seed(*key: Key) -> int:
    """63-bit seed of a key such as `(seed, "mirror", epoch, pair)`; equal keys give equal seeds."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*key: Key) -> np.random.Generator:
    """Fresh Philox generator of a key such as `(seed, "windows", iteration)`."""
    return np.random.Generator(np.random.Philox(derive_seed(*key)))
