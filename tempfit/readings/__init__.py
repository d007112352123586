"""Tables in files to paired readings, whole or block by block."""
