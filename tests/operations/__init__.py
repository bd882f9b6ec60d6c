"""Bad operations, tried on real stores with real dispatchers and clients: nothing is lost, and it goes on by itself.

Most runs the shop of ``tests.crash``, whose steps write rows of the user's, and asks for the same in the end: every
acknowledged command took effect, every instance ended as it has to, each of the users' rows is there once, and an audit
is empty. Single calls of stores are the business of ``tests.stores``; processes that are killed, of ``tests.crash``.
"""
