"""What a video codec has computed already: motion vectors, residuals and I-frames, as samples for training.

From bytes to a sample: `reader` decodes a clip, `motion` follows its blocks back to the I-frame, `features` adds
residuals, `views` picks frames and packs them into channels, `cache` keeps the result. `encoder` writes clips that the
reader accepts. Two data sets come out of it: `folder` reads clips from disk, `moving_shapes` makes them up.
"""
