"""What `loadtest/soak` is made of: a world to serve (`world`), what is done to it (`acts`), who does it (`traffic`), what is seen meanwhile (`watch`)."""
