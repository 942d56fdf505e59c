"""Experiments with a whole system: a private Redis, real workers, and questions that only a measurement answers.

    python -m benchmarks.experiments NAME... [--quick] [--out FOLDER]
    python -m benchmarks.experiments all --quick

Each writes FOLDER/NAME.json, .csv, .svg and .png, and all of them one FOLDER/report.md. Ctrl-C ends the one that runs:
no process is left, and what was measured until then is written.
"""
