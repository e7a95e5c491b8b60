"""What our recommendations are measured against: simple ones written here, others run from their own packages."""
