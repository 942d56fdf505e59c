"""What deploy/ holds: manifests by their schemas, every command by running it, every query by what is really there."""
