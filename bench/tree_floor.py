"""The floor of render: the same bytes written to the same tree, by nothing but a loop.

Run as a program with a packed tree, a folder and how: "plain" makes the files in place, "swapped" writes them beside
the folder and renames, as render must so that a failure leaves the old tree whole. Prints the seconds of the loop.
"""

import os
import pickle
import sys
import time


def main(packed: str, folder: str, how: str) -> None:
    """Write a packed tree, a pickled mapping of paths to bytes, and print the seconds that the writing took."""
    with open(packed, "rb") as file:
        tree: dict[str, bytes] = pickle.load(file)
    began = time.perf_counter()
    target = f"{folder}.new" if how == "swapped" else folder
    os.makedirs(target)
    made: set[str] = set()
    for name, content in tree.items():
        path = f"{target}/{name}"
        directory = path.rpartition("/")[0]
        if directory not in made:
            os.makedirs(directory, exist_ok=True)
            made.add(directory)
        with open(path, "wb") as file:
            file.write(content)
    if how == "swapped":
        os.rename(target, folder)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
