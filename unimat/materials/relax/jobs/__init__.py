"""atomate2's jobs: run here, and their documents kept in a store."""
