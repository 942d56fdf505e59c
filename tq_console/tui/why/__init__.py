"""Why something waits: a panel over any screen."""
