"""What suits one file: its plan, stripes, neighbouring planes, test-time augmentation and fine-tuning."""
