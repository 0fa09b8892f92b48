"""Training: `train()`, the only place in the project that fits a model, and what it is made of."""
