"""What stands behind the scripts: command lines, terminal output, exit codes. Doors print; nothing below does."""
