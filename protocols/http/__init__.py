"""The HTTPS relay: sans-I/O heads and fields, and the shells around them."""
