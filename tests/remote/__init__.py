"""Consoles and commands that reach their broker through the gateway."""
