"""What every stage does with crystals: structures, lattices, compositions, processes, caches, intervals."""
