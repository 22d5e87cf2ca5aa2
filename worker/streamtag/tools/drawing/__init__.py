"""Pictures for people: plots, labels on copies of pictures and videos, small previews."""
