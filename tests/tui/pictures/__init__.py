"""Pictures of the console: a shop's queues at one moment that never changes, the shots to take of it, and the files.

`python -m tests.tui.pictures FOLDER` writes them all, byte for byte the same each time, on any machine.
"""
