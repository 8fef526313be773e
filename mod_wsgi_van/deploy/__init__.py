"""Deploys a site: makes a release beside the live one, proves it, and swaps one link.

``layout`` says what lies where. Used by the command alone: the daemon sees nothing but the link.
"""
