"""A recorded run as one HTML page: no script, no request, everything that is shown is inside it."""
