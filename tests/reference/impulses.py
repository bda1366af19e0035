"""What a unit of update at a node does to all later messages: measured by training, with no account of how.

Every (round, place in it, node) gets a coordinate of the parameters of its own, and adds 1 to it there and then. Models
begin at 0 and losses are constant, so that nothing else moves. A coordinate is a linear system by itself, so one run
measures all responses at once.
"""

import numpy as np
import torch
from reference.experiments import Posted, simulate

from simulator.core.message import MASKED
from simulator.core.method import Method
from simulator.mixers.fixed_point import decoded


class Constant(Method):
    """Losses that do not depend on the model: nothing reacts to it but what parts do themselves."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses * 0


class Impulse(Method):
    """Adds 1 to the update of each round, and to minus the gradient of each step, in coordinates of their own."""

    def before_round(self, node):
        self._number = node.finished * (1 + node.local_steps)

    def before_step(self, node, batch):
        node.gradient[self._next(node)] -= 1

    def after_local_training(self, node):
        node.parameters[self._next(node)] += 1

    def _next(self, node):
        self._number += 1
        return (self._number - 1) * node.num_nodes + node.id


def responses(experiment, path, after=0):
    """What is made out of messages, as rows over [rounds, local steps + 1, nodes]; the last of a round is the update.

    By (round, sender), or of masked ones, whose sum is made out, by (round, receiver). ``after`` so many of its
    methods, ones are added to updates.
    """
    shape, posted = (experiment.rounds, experiment.training.local_steps + 1, experiment.topology.nodes), Posted()

    def touch(node):
        node.parameters = torch.zeros_like(node.parameters)
        node.methods.insert(after, Impulse(None))
        node.methods.append(Constant(None))
        posted.watch(node)

    simulate(experiment, path, touch)
    sent = dict(_masked(posted.all) if MASKED in posted.all[0].parts else _plain(posted.all))
    assert not any(values[np.prod(shape) :].any() for values in sent.values())
    return {key: values[: np.prod(shape)].reshape(shape) for key, values in sent.items()}


def _plain(messages):
    for message in messages:
        yield (message.round - 1, message.sender), message.parts["parameters"].numpy()


def _masked(messages):
    for key in {(message.round, message.receiver) for message in messages}:
        terms = [message.parts[MASKED] for message in messages if (message.round, message.receiver) == key]
        yield (key[0] - 1, key[1]), decoded(sum(terms)).numpy()


def learnt(rows, network, observer, sums=False):
    """M_u of every node, float64 [n, T, T] over T injections; the observer knows what it is sent and its own noise."""

    def is_heard(round, whose):
        return whose == observer if sums else whose in network.at(round).in_neighbours(observer)

    heard = [row for key, row in sorted(rows.items()) if is_heard(*key)]
    known = np.stack(heard).reshape(len(heard), -1, heard[0].shape[-1])  # [messages, injections, nodes]
    noise = np.delete(known, observer, axis=2).reshape(len(heard), -1)
    inverse = np.linalg.pinv(noise @ noise.T, rcond=1e-12, hermitian=True)
    return np.einsum("msn,ml,ltn->nst", known, inverse, known)
