"""Many transmissions in time: a clip over one link whose fade and noise go on from frame to frame."""
