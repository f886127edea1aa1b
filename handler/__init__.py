"""The one handler: claims a message, chooses who answers, records what happened."""
