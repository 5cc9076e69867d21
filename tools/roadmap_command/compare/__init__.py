"""Compare a candidate, which is another model or changed prompts, with stored content. Nothing is saved.

`sample` draws saved items from bundles, `calls` keeps and limits the calls of models, `judge` asks a model
about contents, `comparison` makes and examines the pairs, `verdict` decides, and `report` writes the page.
"""
