"""What the keys do to queues, tasks and workers: plans, made when a key is pressed, then carried out."""
