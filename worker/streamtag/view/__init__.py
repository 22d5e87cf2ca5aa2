"""The page to look at, from Redis alone: ``streamtag view``."""
