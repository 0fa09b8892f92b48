"""Live: frames come from cameras, streams, videos and pictures, are read, drawn and written. Imports nothing itself."""
