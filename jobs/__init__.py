"""Work outside requests: the runner that every process has, and the tasks it knows."""
