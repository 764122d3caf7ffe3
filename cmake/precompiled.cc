// Nothing: the source of the targets whose precompiled headers others use.
