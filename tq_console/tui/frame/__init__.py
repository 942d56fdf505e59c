"""What is around every screen: header, tabs, hints, help, palette."""
