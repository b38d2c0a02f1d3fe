"""Language: requests to a model, the prompts they are made of, and the ways to get them answered.

This room sees requests and answers, never annotations: what an answer is worth is judged by `verify`.
"""
