"""What can be done with a queue, by who does it: flows of steps, without any I/O of their own."""
