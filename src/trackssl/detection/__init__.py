"""Object detection on PASCAL VOC as R-CNN does it: proposals, fine-tuning, SVMs, scores."""
