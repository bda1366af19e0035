"""Deployments over hosts as network namespaces."""

from reference.namespaces import hosts  # noqa: F401  # a fixture
