"""Four rooms with a locked door, seen three cells far: Zhou et al., IJCAI 2024 (LLM4Teach)."""
