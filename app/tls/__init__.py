"""TLS, in one place: which versions and ciphers, how certificates are read and renewed, and every refusal in words."""
