"""One worker process: a fresh interpreter that loads the users' code, claims tasks and runs them."""
