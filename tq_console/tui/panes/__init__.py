"""The screens that the tabs choose between, each a pane of the one frame."""
