"""Choosing one of several things from the keyboard: a queue, a priority, an operation, a job."""
