"""Tables in files to paired readings, whole or block by block. It stands on the settings and on files alone."""
