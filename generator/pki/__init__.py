"""Certificates: what they say, on one page, and their issuance, which alone has a clock and randomness."""
