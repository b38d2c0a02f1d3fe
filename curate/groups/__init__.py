"""Who belongs together: links by subject, study and duplicate, and the split that keeps them so."""
