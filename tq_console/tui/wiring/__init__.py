"""What holds the console together: which screens there are, going between them, and the frame around them."""
