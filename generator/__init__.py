"""Spec in, files out: everything Slipway decides about a cluster, without ever touching a host."""
