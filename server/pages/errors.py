"""Errors of the server's pages.

PageError
└── QuestionInvalid   a query parameter that has no meaning; answered with 400 and the sentence
"""


class PageError(Exception):
    """Something about a page is wrong; the text says what and what to do."""


class QuestionInvalid(PageError):
    """A query parameter that has no meaning."""
