DELETE FROM kinds.reading WHERE at < timestamptz '2025-11-02+00';
