"""What every way in shows, free of any way of showing it: numbers in words, safe text, masks, records, tables."""
