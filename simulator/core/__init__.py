"""The contracts: node, message, mixer, method, backend, observer, and the parts they are made of."""
