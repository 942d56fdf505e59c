"""The virtual table: how lines are drawn, where the cursor stays, and what is drawn again."""
