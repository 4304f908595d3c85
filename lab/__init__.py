"""Real systemd hosts on one Linux machine, for trying Slipway and for its end-to-end tests."""
