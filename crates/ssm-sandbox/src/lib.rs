//! A stand-in for AWS on loopback: STS with MFA, Systems Manager, the message gateway and the agent.
