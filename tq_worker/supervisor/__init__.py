"""The node's supervisor: starts workers, obeys the control channel, cleans up behind the dead; runs no users' code."""
