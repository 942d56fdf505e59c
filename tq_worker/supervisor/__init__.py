"""The node's supervisor: starts workers, obeys the control channel and cleans up behind the dead; runs no users' code."""
