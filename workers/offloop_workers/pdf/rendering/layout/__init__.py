"""Layout of a document: WeasyPrint's steps, watched; box flattening; progress, forecast and early refusal."""
