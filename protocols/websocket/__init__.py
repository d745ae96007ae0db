"""WebSockets relayed: the opening handshake is read, what follows it is not."""
