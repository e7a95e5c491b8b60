"""`portrait demo`: the whole job on this machine, shown while it runs and measured at its end."""
