"""Small tools that know nothing of Tocsin: types, clock, errors, keys, texts, outgoing HTTP, templates."""
