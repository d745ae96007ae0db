"""How to speak SIP, HTTPS and WebSocket; nothing about edges, policy or YAML."""
