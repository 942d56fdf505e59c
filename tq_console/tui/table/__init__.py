"""A table of any length that draws only what is on screen, and of that only what has changed."""
