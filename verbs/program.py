"""The verbs as a program of their own, `slipway`, for a folder that has no tasks.py yet: `slipway new --name first`."""

from importlib.metadata import PackageNotFoundError, version

from invoke.program import Program

from verbs import namespace


def installed_version() -> str:
    """Return the version of the installed package, "checkout" where it runs from a checkout."""
    try:
        return version("slipway")
    except PackageNotFoundError:
        return "checkout"


program = Program(name="slipway", binary="slipway", namespace=namespace, version=installed_version())


def run() -> None:
    """Run the verb that the command line names."""
    program.run()
