"""Workers that the console starts on this machine, as commands, and ends with itself."""
