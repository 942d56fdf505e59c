"""Alerts: rules in the user's words, looked at again and again, and who is told."""
