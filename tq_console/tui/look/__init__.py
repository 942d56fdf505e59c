"""How the console looks: themes, glyphs, and the surface that is painted with them."""
