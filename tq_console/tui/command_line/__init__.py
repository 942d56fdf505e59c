"""The line behind `:`, with the words of `tq`: typing, completing and remembering them, showing what they say."""
