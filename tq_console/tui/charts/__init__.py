"""Charts as lines of spans: pure, so that a canvas sends only the cells that changed."""
