"""Where to send: configuration, health, policy, and the daemon that composes them."""
