"""Two methods, many points, one report of digits."""
