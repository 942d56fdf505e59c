-- schema: the version of the keyspace that this client knows, tq_core.keyspace.keys.SCHEMA_VERSION.
local SCHEMA = 2
