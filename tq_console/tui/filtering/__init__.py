"""Typing what is looked for: the filter bar, and the small windows that ask for a word or a choice."""
