"""The raw limits: the same demands on disk and kernel, without duly."""
