"""What runs in processes of the revision that is measured; by duly's public names, so that any revision runs it."""
