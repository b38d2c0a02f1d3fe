"""From a built corpus to a release that others load: rows that may go, in trainers' forms, with card and proof."""
