from toolchain.api import build as build
from toolchain.api import simulate as simulate
from toolchain.api import size as size
from toolchain.api import verify as verify
