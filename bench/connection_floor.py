"""The floor of push: the same connections, each with its host key verified, and `true` run on it.

Run as a program with known_hosts, the private key, how many at a time, and the addresses. Prints the seconds between
the first connection and the last answer, without interpreter and imports.
"""

import asyncio
import sys
import time

import asyncssh


async def floor(known_hosts: str, key: str, at_once: int, addresses: list[str]) -> float:
    """Enter each address as root, run `true`, and return the seconds that all of it took."""
    began = time.perf_counter()
    known = asyncssh.read_known_hosts(known_hosts)
    keys = asyncssh.load_keypairs([key])
    slots = asyncio.Semaphore(at_once)

    async def one(address: str) -> None:
        async with (
            slots,
            asyncssh.connect(address, username="root", known_hosts=known, client_keys=keys, config=None) as connection,
        ):
            await connection.run("true", check=True)

    await asyncio.gather(*map(one, addresses))
    return time.perf_counter() - began


if __name__ == "__main__":
    print(asyncio.run(floor(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])))
