"""Checked steps from a definition to a formula, and their rendering."""
