"""What the threads and tasks of a node or worker are doing now."""
