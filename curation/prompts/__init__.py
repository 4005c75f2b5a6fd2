"""The prompts as shipped: NAME.system.txt and NAME.user.txt, with {placeholders}."""
