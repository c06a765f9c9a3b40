"""Archives of NATS-Bench: found, selected from, unpickled safely, and cached."""
