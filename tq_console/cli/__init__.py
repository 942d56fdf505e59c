"""The command line: data on stdout, talk on stderr, one table of exit codes."""
