"""PASCAL VOC's classification task: which classes an image shows."""

import numpy as np

from trackssl.datasets.image_index import (
    ABSENT,
    IGNORED,
    SHOWS,
    ImageIndex,
    ImageList,
    make_image_index,
)
from trackssl.datasets.voc import VocIndex


def voc_images(index: VocIndex) -> ImageIndex:
    """The images of every split, labelled as in the devkit's lists of a class.

    An image shows the classes of its objects; one whose objects of a class are all difficult is
    ignored for that class. Raises InputError for an annotation or image that is absent or wrong.
    """
    classes = list(index.classes)
    splits = {}
    for split in index.splits:
        labels = np.full((len(index.images(split)), len(classes)), ABSENT, np.int8)
        for row, (_, annotation) in zip(labels, index.annotations(split), strict=True):
            for name, difficult in zip(annotation.classes, annotation.difficult, strict=True):
                number = classes.index(name)
                row[number] = max(row[number], IGNORED if difficult else SHOWS)
        paths = [index.devkit.image_path(image) for image in index.images(split)]
        splits[split] = ImageList(paths, labels)
    return make_image_index(index.devkit.root.name, classes, splits)
