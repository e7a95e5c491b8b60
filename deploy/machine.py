"""The machine that figures were measured on."""

import os
import platform


def machine() -> str:
    """Architecture, cores and kernel, for reports."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
