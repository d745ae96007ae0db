"""`edge-router demo`: provider, daemon and clients here, and an edge that dies."""
