"""What SQL asks about the schema, answered from the engine's catalog."""
