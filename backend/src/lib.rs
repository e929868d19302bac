//! The HTTP edge: router, extractors, routes, errors, authentication, OpenAPI.
