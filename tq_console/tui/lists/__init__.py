"""From what is known to rows of tables; no widgets here."""
