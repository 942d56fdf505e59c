"""What users' code touches: task queues, task types, their arguments, handles and contexts."""
