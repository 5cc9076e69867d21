"""Keys of issuers. Making one takes up to half a second."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa

RSA_KEY, OTHER_RSA_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC_KEY = ec.generate_private_key(ec.SECP256R1())
