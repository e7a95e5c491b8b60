"""What holds of a user, and why: from their state and the catalogue's items alone, pure."""
