"""The mutation bench of `curate.verify`: how many false texts it lets pass, and how many true ones it refuses.

`python -m bench.verify.run` mutates verified rows and hand-written clean sentences (`clean/`), and counts per kind with
Wilson's 95 % interval. What makes texts, mutators and clean sentences, knows nothing of the rules: nothing here but
`judging` imports `curate.verify`, and nothing reads its lexicons (a test holds this).
"""
