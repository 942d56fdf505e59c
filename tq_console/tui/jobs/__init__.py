"""Jobs on many tasks: how far each is, and ending one."""
