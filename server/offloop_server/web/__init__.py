"""Plain HTTP: endpoint, authentication, files, uploads, health."""
