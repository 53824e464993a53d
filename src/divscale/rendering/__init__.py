"""One renderer for generation, training and evaluation: templates, chat templates, tokenisation, label masks."""
