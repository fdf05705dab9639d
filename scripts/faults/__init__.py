"""The fault matrix: stages by faults, each cell a command that is disturbed, and judged."""
