"""Every model behind the interfaces that applications already speak: an extra, `[serve]`."""
