"""The thin trainer: a published dataset in, a LoRA adapter out."""
