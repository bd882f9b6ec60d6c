"""Does the test kit work for somebody who has the wheel and a page of the docs, and nothing else?"""
