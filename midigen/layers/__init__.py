"""Parts of models that several plugins are built of: attention, its cache, dropout, places."""
