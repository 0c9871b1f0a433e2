"""The ports to this machine: processes, files, locks, memory, devices, and the user's settings."""
