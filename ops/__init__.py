"""What operators use: the message log, health, metrics, the command line."""
