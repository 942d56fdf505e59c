"""The HTTP gateway: everything that programs and remote operators ask for."""
