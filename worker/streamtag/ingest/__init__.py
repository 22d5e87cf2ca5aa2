"""From a source to samples: one decoder process per connection, and the parent's side of it."""

import os

from streamtag.settings import MAX_PIXELS_CEILING

# OpenCV reads its own limit once, when it is loaded, which in a decoder is before any settings are known. It stands
# behind the check of each picture's header (pictures.py).
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_PIXELS_CEILING)
