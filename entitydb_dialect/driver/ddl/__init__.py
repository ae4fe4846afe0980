"""CREATE, ALTER and DROP as edits of the engine's catalog."""
