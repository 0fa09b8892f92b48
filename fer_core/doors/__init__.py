"""What stands behind the two scripts: command lines, terminal output, exit codes. Doors print; nothing below them does."""
