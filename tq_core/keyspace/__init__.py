"""How a task lies in Redis: its keys, its strings, and the scripts that change them."""
