"""Checks of our own that no ready tool makes; `make check` runs them, and their tests prove that they can fail."""
