"""PASCAL VOC classification: which classes an image shows, by SVMs and by fine-tuned networks."""
