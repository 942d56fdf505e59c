"""How the console gets what it shows: one question for the visible screen, one answer, one immutable snapshot."""
