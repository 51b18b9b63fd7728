"""What no event carries: the answers of the head's dashboard, kept while somebody still gives them."""
