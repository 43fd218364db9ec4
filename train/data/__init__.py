"""What a run learns from: found in any layout, split by field, prepared, and cut into crops."""
