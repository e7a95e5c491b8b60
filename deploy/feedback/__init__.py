"""What lists were worth that users saw, and what others would have been (`portrait eval policy`)."""
