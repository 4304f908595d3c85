"""What a cluster is: its schema, loading, the rules between its fields, and the tables of versions and flags."""

from generator.spec.loading import load, load_text

__all__ = ["load", "load_text"]
