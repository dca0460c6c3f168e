"""What a script needs before it can begin: its Python, its packages."""
