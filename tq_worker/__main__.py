"""`python -m tq_worker`: the same as the command `tq-worker`."""

from __future__ import annotations

from tq_worker.entry import main

if __name__ == "__main__":
    main()
