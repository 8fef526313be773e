"""Directories full of vhosts, the environments in them and the applications they serve."""
