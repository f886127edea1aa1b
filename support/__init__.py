"""The support desk: agents, the queue, working hours and the workbench."""
