"""The contracts: node, message, mixer, method, backend, observer, and the parts they are made of."""

from simulator.hidden import check_not_hidden

check_not_hidden()
