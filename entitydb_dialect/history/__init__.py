"""The time API: sessions of a past moment, what counts as a moment, labels, commit times."""
