"""The operator console: a terminal application that watches the queues and acts on them from the keyboard."""
