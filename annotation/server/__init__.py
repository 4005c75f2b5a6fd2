"""The annotation server that comes with this package: Argilla in an environment of its own, its data in a folder."""

from annotation.server.serve import serving
from annotation.server.served import Served

__all__ = ["Served", "serving"]
