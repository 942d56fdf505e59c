"""Forms: what is typed into fields becomes a task."""
