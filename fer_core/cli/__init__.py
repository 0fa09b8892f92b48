"""The command lines: arguments, terminal output, exit codes. Only this package prints."""
