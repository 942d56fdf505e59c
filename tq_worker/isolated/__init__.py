"""Tasks in a process of their own: what runs on the far side. The worker's side is `tq_worker.worker.isolation`."""
