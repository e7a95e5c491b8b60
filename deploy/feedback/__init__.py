"""What lists were worth that users saw, and what others would have been: impressions, clicks, propensities (`portrait eval policy`)."""
