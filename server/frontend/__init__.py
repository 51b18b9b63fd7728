"""Ray's built front end, taken out of the ray wheel at installation or first start; never committed."""
