"""The SIP proxy: messages that keep their bytes, and the cores that move them."""
