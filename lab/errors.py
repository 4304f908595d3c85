"""What the lab raises when something is wrong that a person can put right."""

from generator.errors import SlipwayError


class LabError(SlipwayError):
    """A fault of the lab, worded ``lab: what is wrong; what to do``."""

    def __init__(self, wrong: str, remedy: str) -> None:
        """Join what is wrong and what to do into the one line that a person reads."""
        super().__init__(f"lab: {wrong}; {remedy}")
