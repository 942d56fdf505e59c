"""Editing in the program that its user edits with."""
