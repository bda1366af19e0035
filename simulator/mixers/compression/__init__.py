"""Lossy codes for one flat vector, the whole model at once; the parts of a message are the compressed tensors.

For a vector of d values of b bytes each (4 in single precision), a message holds:

========  =============================  ===========================
name      parts                          bytes
========  =============================  ===========================
top_k     k int32 indices, k values      k (4 + b)
random_k  an int64 seed, k values        8 + k b
sign      d bits, one value              ceil(d / 8) + b
qsgd      d codes of q bits, one value   ceil(d q / 8) + b
none      d values                       d b
========  =============================  ===========================

with k = max(1, round(keep d)). Each loses less than ||v||^2 of every v but 0, qsgd and random_k on average, which
CHOCO-SGD asks for. Papers compress layer by layer, so that large layers do not crowd out small ones; here the whole
vector has one scale and one choice of coordinates.
"""
