"""One task, whole: as a preview beside a list, or as a screen of its own."""
