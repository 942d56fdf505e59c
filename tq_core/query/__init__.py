"""The one language in which tasks are chosen: lists, commands, bulk actions, exports and saved views."""
