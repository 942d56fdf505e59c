"""One module for each dialect's routes, and for each part of our own."""
