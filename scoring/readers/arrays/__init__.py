"""Arrays of numbers: .npy, .npz and IDX."""
