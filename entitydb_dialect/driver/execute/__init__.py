"""What a cursor does with a statement: one module a kind of statement."""
