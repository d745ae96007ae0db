"""SIP of the simulated provider, and a PBX to talk to it; built on sipmessage."""
