"""Pure decisions: what an authenticated user may do."""
