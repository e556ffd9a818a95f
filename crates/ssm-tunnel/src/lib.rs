//! Reach a port on a private machine through AWS Systems Manager, with nothing installed.
