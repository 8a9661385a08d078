"""How fast xentrace files are read, side by side with xenalyze."""
