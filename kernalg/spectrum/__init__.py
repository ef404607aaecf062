"""One Spectrum value, many input spaces."""
