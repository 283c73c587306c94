"""Named streams of random numbers: each thing has its own luck, so adding one changes nobody else's.

A stream is named by what it is for, such as "cp-1/life". Its generator is seeded by the seed of the experiment and
a digest of the name (blake2, which is the same in every process, unlike `hash`), never by the order of creation.
Two designs simulated with one seed then share the luck of everything they have in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from hasim.errors import ModelError

SEED_BITS = 53  # a seed that was drawn survives a trip through JSON, where numbers are floats


class Streams:
    """Random generators by name: `streams["cp-1/life"]`; asking again gives the same generator, further on.

    `block` sets apart repetitions with the same names: block 3 of an experiment has its own luck under every name,
    whoever computes it and when.
    """

    def __init__(self, seed: int, block: int = 0) -> None:
        self.seed = seed
        self.block = block
        self._open: dict[str, np.random.Generator] = {}

    def __getitem__(self, name: str) -> np.random.Generator:
        generator = self._open.get(name)
        if generator is None:
            generator = self._open[name] = np.random.Generator(np.random.SFC64(self._sequence(name)))
        return generator

    def _sequence(self, name: str) -> np.random.SeedSequence:
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        words = np.frombuffer(digest, dtype="<u4").tolist()
        return np.random.SeedSequence(entropy=self.seed, spawn_key=(self.block, *words))


def seed_or_fresh(seed: object) -> int:
    """The seed as given, or one drawn from the machine's entropy, to be kept in the result."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> (64 - SEED_BITS)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ModelError(f"got {seed!r}; a seed is a whole number, zero or more", "seed")
    return int(seed)


_BLOCK = 1024  # a draw from numpy costs ten times what taking one from a list does
FEW = 16
"""The first block of a stream of which a run may take only a few numbers."""


def uniforms(rng: np.random.Generator, first: int = _BLOCK) -> Callable[[], float]:
    """Return a function without arguments that gives the next number of U[0, 1) from `rng`.

    They are drawn in blocks, the first of `first` numbers, each twice the one before, up to 1024.
    """
    return _blocks(rng, first).__next__


def _blocks(rng: np.random.Generator, block: int) -> Iterator[float]:
    while True:
        yield from rng.random(block).tolist()
        block = min(2 * block, _BLOCK)
