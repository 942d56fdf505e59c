"""A broker behind tq's HTTP gateway: the same steps, sent over HTTP."""
