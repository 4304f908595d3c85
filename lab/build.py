"""Builds once, into the cache, everything that a lab needs: `python -m lab.build`."""

import sys

from lab import artifacts, images, registry, rootfs
from lab.debian import LAB_PACKAGES, install, require_root_on_debian
from lab.errors import LabError


def main() -> int:
    """Build all parts and say where they lie; return 1 with one line where that cannot be."""
    try:
        require_root_on_debian()
        install(LAB_PACKAGES)
        print(f"artifacts: {artifacts.build()}")
        print(f"images: {', '.join(sorted(images.build()))}")
        print(f"bare host: {rootfs.build()}")
        print(f"registry: {registry.build()}")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
